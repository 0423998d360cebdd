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
