"""A partitioned backfill goes on when the daemon and the code server are killed in the middle of it."""

from __future__ import annotations

from collections import Counter

from laptops import wait_until
from live import Live

DAYS = [f"2024-01-{day:02}" for day in range(1, 13)]


def test_a_backfill_survives_the_death_of_daemon_and_code_server(platform: Live) -> None:
    backfill = platform.backfill(DAYS, assetSelection=[{"path": ["days"]}])

    def statuses() -> Counter[str]:
        return Counter(run["status"] for run in platform.runs(**{"dagster/backfill": backfill}))

    def wait(least: int) -> None:
        wait_until(lambda: statuses()["SUCCESS"] >= least, 120, f"{least} runs succeeded: {statuses()}")

    wait(2)
    platform.up.of("slipway.daemon").kill()
    platform.up.wait_for("daemon started again")
    wait(5)
    platform.up.of("--location-name chosen").kill()
    platform.up.of("slipway.daemon").kill()
    platform.up.wait_for("code-chosen started again")
    wait(12)

    def status() -> str:
        answer = platform.graphql(
            """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
                 ... on PartitionBackfill { status } } }""",
            id=backfill,
        )
        return str(answer["status"])

    wait_until(lambda: status() == "COMPLETED_SUCCESS", 120, f"the backfill is over: {status()}")
    runs = platform.runs(**{"dagster/backfill": backfill})
    made = Counter(
        materialization["partition"] for run in runs for materialization in run["assetMaterializations"]
    )
    assert made == Counter(DAYS), "each partition once"
    assert {run["status"] for run in runs} == {"SUCCESS"}
