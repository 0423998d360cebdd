"""Fifty runs queued at once, twenty of them writing one table of the lake from pods of their own."""

from __future__ import annotations

import time

from crowding import GO, MEMBERS, READY, ROWS
from installed import Installed
from waiting import until

AT_ONCE = 20
"""max_concurrent_runs of the tests' values."""


def test_fifty_runs_queued_at_once_all_finish_and_lose_no_row(installed: Installed) -> None:
    prepared = installed.launch("launched", "crowd_table")
    assert installed.finished(prepared)["status"] == "SUCCESS", installed.failure(prepared)
    storage = installed.s3()
    began = time.monotonic()
    answer = installed.graphql(
        """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
             __typename ... on LaunchBackfillSuccess { backfillId } ... on Error { message } } }""",
        params={
            "partitionNames": [f"{number:02}" for number in range(MEMBERS)],
            "assetSelection": [{"path": ["crowd"]}],
        },
    )["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    backfill = answer["backfillId"]

    def there() -> bool:
        found = storage.list_objects_v2(Bucket="slipway-lake", Prefix=READY)
        return int(found.get("KeyCount", 0)) >= AT_ONCE

    until(there, 300, lambda: f"not {AT_ONCE} pods: {counts(installed, backfill)}")
    print(f"{AT_ONCE} pods were there after {time.monotonic() - began:.0f} s")
    assert len(installed.list("pods", "app.kubernetes.io/component=run", status__phase="Running")) <= AT_ONCE
    assert counts(installed, backfill)["STARTED"] == AT_ONCE
    storage.put_object(Bucket="slipway-lake", Key=GO)
    until(
        lambda: counts(installed, backfill).get("SUCCESS") == MEMBERS,
        400,
        lambda: f"{counts(installed, backfill)} {failures(installed, backfill)}",
    )
    print(f"{MEMBERS} runs were over after {time.monotonic() - began:.0f} s")
    assert installed.sql(
        "SELECT count(*) AS n, count(DISTINCT member) AS members, sum(n) AS total FROM launched.crowd.rows"
    ) == [{"n": MEMBERS * ROWS, "members": MEMBERS, "total": MEMBERS * ROWS * (ROWS - 1) // 2}]


def counts(installed: Installed, backfill: str) -> dict[str, int]:
    """How many of a backfill's runs have each status."""
    found = [run["status"] for run in installed.runs({"dagster/backfill": backfill})]
    return {status: found.count(status) for status in set(found)}


def failures(installed: Installed, backfill: str) -> list[str]:
    """What the runs of a backfill say that failed."""
    return [
        installed.failure(run["runId"])
        for run in installed.runs({"dagster/backfill": backfill})
        if run["status"] == "FAILURE"
    ]
