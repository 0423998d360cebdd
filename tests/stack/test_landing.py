"""A file put into the landing bucket becomes rows of a mart."""

from __future__ import annotations

import csv
import json
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from composed import Stack
from waiting import until

if TYPE_CHECKING:
    from pathlib import Path

REVENUE = "SELECT store, CAST(day AS VARCHAR) AS day, orders, total FROM ecommerce.marts.revenue_by_store_and_day ORDER BY ALL"


def test_landed_files_become_rows_of_the_mart_within_a_minute(stack: Stack) -> None:
    sample = stack.folder / "code_locations" / "ecommerce" / "sample"
    for name in ("stores/2018-09-01.jsonl", "orders/2018-09-01.csv"):
        stack.s3().upload_file(str(sample / name), "data-landing", name)
    began = time.monotonic()
    # asking for rows starts a process each time; the run tells more cheaply that they are there
    until(lambda: stack.succeeded("load_jaffle_shop"), 120, "no run of load_jaffle_shop has succeeded")
    rows = stack.sql(REVENUE)
    seconds = time.monotonic() - began
    assert rows == revenue(sample)
    assert seconds < 60


def test_a_run_container_that_is_killed_with_its_files_in_hand_loses_and_doubles_nothing(
    stack: Stack,
) -> None:
    key = "customers/killed.csv"
    stack.s3().put_object(Bucket="data-landing", Key=key, Body=b"id,name\nk1,Ann\nk2,Bob\nk3,Cid\n")
    container = until(lambda: next(iter(stack.run_containers("ecommerce")), None), 60, "no run has begun")
    # Said when it has claimed them; the commit is some tenths of a second away, or has just been.
    until(lambda: b"of the landing jaffle_shop: 1 files" in container.logs(), 60, "the run has no files")
    container.kill()
    until(lambda: state(stack, key) == "done", 120, f"{key} was not loaded again")
    until(lambda: not stack.run_containers("ecommerce"), 60, "a run goes on")
    assert stack.sql(
        f"SELECT id, count(*) AS n FROM ecommerce.raw.customers WHERE _key = '{key}' GROUP BY id ORDER BY id"
    ) == [{"id": name, "n": 1} for name in ("k1", "k2", "k3")]


def state(stack: Stack, key: str) -> str:
    """What the ledger says of an object."""
    code, output = stack.execute(
        "webserver", "slipway", "landing", "list", "jaffle_shop", "--prefix", key, "--json"
    )
    assert code == 0, output
    [found] = json.loads(output)["objects"]
    return str(found["state"])


def revenue(sample: Path) -> list[dict[str, Any]]:
    """What the files say, in whole cents, without DuckDB; the marts have the currency's unit."""
    stores = {}
    for line in (sample / "stores" / "2018-09-01.jsonl").read_text().splitlines():
        store = json.loads(line)
        stores[store["id"]] = store["name"]
    totals: dict[tuple[str, str], list[int]] = defaultdict(list)
    with (sample / "orders" / "2018-09-01.csv").open() as file:
        for order in csv.DictReader(file):
            key = (stores[order["store_id"]], order["ordered_at"][:10])
            totals[key].append(int(order["order_total"]))
    return [
        {"store": store, "day": day, "orders": len(found), "total": sum(found) / 100}
        for (store, day), found in sorted(totals.items())
    ]
