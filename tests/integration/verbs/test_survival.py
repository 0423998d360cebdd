"""A partitioned backfill goes on when the daemon and the code server are killed in the middle of it."""

from __future__ import annotations

from collections import Counter

from live import Live
from waiting import until

DAYS = [f"2024-01-{day:02}" for day in range(1, 13)]


def kill(platform: Live, text: str) -> None:
    """Kill the process with this text in its command line, which may just be coming up again."""

    def found() -> bool:
        try:
            platform.up.of(text).kill()
        except StopIteration:
            return False
        return True

    until(found, 60, f"a process with {text}")


def test_a_backfill_survives_the_death_of_daemon_and_code_server(platform: Live) -> None:
    backfill = platform.backfill(DAYS, assetSelection=[{"path": ["days"]}])

    def statuses() -> Counter[str]:
        return Counter(run["status"] for run in platform.runs(**{"dagster/backfill": backfill}))

    def wait(least: int) -> None:
        until(lambda: statuses()["SUCCESS"] >= least, 120, f"{least} runs succeeded: {statuses()}")

    wait(2)
    kill(platform, "slipway.daemon")
    wait(5)
    kill(platform, "slipway.code_server")
    kill(platform, "slipway.daemon")
    wait(12)

    def status() -> str:
        answer = platform.graphql(
            """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
                 ... on PartitionBackfill { status } } }""",
            id=backfill,
        )
        return str(answer["status"])

    until(lambda: status() == "COMPLETED_SUCCESS", 120, f"the backfill is over: {status()}")
    runs = platform.runs(**{"dagster/backfill": backfill})
    made = Counter(
        materialization["partition"] for run in runs for materialization in run["assetMaterializations"]
    )
    assert made == Counter(DAYS), "each partition once"
    assert {run["status"] for run in runs} == {"SUCCESS"}
