import json
from datetime import date
from decimal import Decimal

import pytest

from slipway.ops.results import Result, as_csv, as_json, as_table

RESULT = Result(
    ["day", "store", "revenue"],
    [(date(2018, 9, 1), "Philadelphia", Decimal("1234.50")), (date(2018, 9, 2), None, Decimal("7.00"))],
)


def test_table_is_plain_and_aligned():
    assert as_table(RESULT) == (
        "day         store         revenue\n"
        "----------  ------------  -------\n"
        "2018-09-01  Philadelphia  1234.50\n"
        "2018-09-02  NULL             7.00\n"
        "(2 rows)\n"
    )


def test_table_keeps_each_row_on_its_line():
    assert as_table(Result(["x"], [("a\nb",)])) == "x\n----\na\\nb\n(1 row)\n"


def test_tables_without_rows_or_columns():
    assert as_table(Result(["x"], [])) == "x\n-\n(0 rows)\n"
    assert as_table(Result([], [])) == "done\n"


def test_json_is_an_array_of_objects():
    assert json.loads(as_json(RESULT)) == [
        {"day": "2018-09-01", "store": "Philadelphia", "revenue": 1234.5},
        {"day": "2018-09-02", "store": None, "revenue": 7.0},
    ]


def test_csv_has_a_header_and_empty_nulls():
    assert as_csv(RESULT) == "day,store,revenue\n2018-09-01,Philadelphia,1234.50\n2018-09-02,,7.00\n"


def test_json_is_json_whatever_the_values():
    row = (float("nan"), [float("inf"), Decimal("1.5")], {date(2024, 1, 1): b"\x00"})
    text = as_json(Result(["a", "b", "c"], [row]))
    assert json.loads(text, parse_constant=pytest.fail) == [
        {"a": None, "b": [None, 1.5], "c": {"2024-01-01": "00"}}
    ]
