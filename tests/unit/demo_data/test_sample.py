import gzip
import json
from pathlib import Path

import duckdb
import pytest

from slipway.config.errors import UserError
from slipway.demo_data import sample
from slipway.demo_data.landing import arrivals
from slipway.demo_data.plan import Row
from slipway.demo_data.sample import cut, make_sample


def shop(days: int) -> dict[str, list[Row]]:
    """A shop that sells two sandwiches a day; its second customer comes on the second day."""
    dates = [f"2018-09-{day:02}" for day in range(1, days + 1)]
    orders = [
        {
            "id": f"o{day}{number}",
            "customer": f"c{min(index, number)}",
            "ordered_at": f"{day}T1{number}:00:00",
            "store_id": "s",
            "subtotal": "1100",
            "tax_paid": "66",
            "order_total": "1166",
        }
        for index, day in enumerate(dates)
        for number in range(2)
    ]
    return {
        "customers": [{"id": "c0", "name": "Ann"}, {"id": "c1", "name": 'Bob "B", jr.'}],
        "items": [{"id": f"i{order['id']}", "order_id": order["id"], "sku": "J"} for order in orders],
        "orders": orders,
        "products": [
            {"sku": "J", "name": "jaffle", "type": "jaffle", "price": "1100", "description": "toast"}
        ],
        "stores": [{"id": "s", "name": "S", "opened_at": "2018-09-01T00:00:00", "tax_rate": "0.06"}],
        "supplies": [{"id": "p", "name": "napkin", "cost": "4", "perishable": "False", "sku": "J"}],
        "tweets": [
            {"id": f"t{day}", "user_id": "c0", "tweeted_at": f"{day}T20:00:00.5", "content": "nice\nday"}
            for day in dates
        ],
    }


def test_files_lie_by_arrival_day_and_entity(tmp_path: Path):
    cut(shop(7), tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert {
        "000/orders/2018-09-01.csv",
        "001/orders/2018-09-02.csv.gz",
        "001/tweets/2018-09-02.jsonl.gz",
        "001/items/2018-09-02.parquet",
        "004/items/2018-09-02.parquet",  # corrected
        "005/orders/2018-09-04.csv",  # late
        "000/customers/2018-09-01.jsonl",
        "001/customers/2018-09-02.jsonl",
        "000/stores/2018-09-01.jsonl",
        "000/products/2018-09-01.csv",
        "000/supplies/2018-09-01.csv",
    } <= names
    assert not any(name.startswith(("003/orders", "000/customers/2018-09-02")) for name in names)


def test_formats_hold_what_was_put_in(tmp_path: Path):
    cut(shop(3), tmp_path)
    header, *lines = (
        gzip.decompress((tmp_path / "001/orders/2018-09-02.csv.gz").read_bytes()).decode().splitlines()
    )
    assert header == "id,customer,ordered_at,store_id,subtotal,tax_paid,order_total"
    assert lines[1] == "o2018-09-021,c1,2018-09-02T11:00:00,s,1100,66,1166"
    assert json.loads((tmp_path / "000/tweets/2018-09-01.jsonl").read_text())["content"] == "nice\nday"
    assert json.loads((tmp_path / "000/stores/2018-09-01.jsonl").read_text())["tax_rate"] == 0.06
    assert json.loads((tmp_path / "001/customers/2018-09-02.jsonl").read_text())["name"] == 'Bob "B", jr.'
    items = duckdb.read_parquet(str(tmp_path / "000/items/2018-09-01.parquet")).fetchall()
    assert items == [("io2018-09-010", "o2018-09-010", "J"), ("io2018-09-011", "o2018-09-011", "J")]


def test_the_broken_file_cannot_be_read_and_the_same_bytes_come_each_time(tmp_path: Path):
    first, second = tmp_path / "1", tmp_path / "2"
    cut(shop(7), first)
    cut(shop(7), second)
    broken = (first / "004/tweets/2018-09-05.jsonl").read_text()
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    assert [path.read_bytes() for _, path in arrivals(first)] == [
        path.read_bytes() for _, path in arrivals(second)
    ]


def test_arrivals_are_in_order_and_stop_at_a_day(tmp_path: Path):
    cut(shop(7), tmp_path)
    keys = [key for key, _ in arrivals(tmp_path, 5)]
    assert keys.index("items/2018-09-02.parquet") < len(keys) - 1 - keys[::-1].index(
        "items/2018-09-02.parquet"
    )
    assert "orders/2018-09-06.csv" not in keys
    assert "orders/2018-09-04.csv" not in keys
    assert len(arrivals(tmp_path)) > len(keys)


def test_progress_ends_at_its_total(tmp_path: Path):
    said: list[tuple[str, int, int]] = []
    cut(shop(3), tmp_path, lambda *what: said.append(what))
    assert said[-1][0] == "make"
    assert said[-1][1] == said[-1][2] == len(said)


def test_a_sample_that_is_there_is_not_made_again(tmp_path: Path, monkeypatch):
    kept = tmp_path / f"jaffle-shop-{sample.fingerprint()}"
    kept.mkdir()
    monkeypatch.setattr(sample.subprocess, "run", None)
    assert make_sample(tmp_path) == kept


def test_without_jafgen_it_is_said(tmp_path: Path, monkeypatch):
    def missing(name: str) -> str:
        raise sample.PackageNotFoundError(name)

    monkeypatch.setattr(sample, "version", missing)
    with pytest.raises(UserError, match=r"install slipway\[embedded\]"):
        make_sample(tmp_path)
