"""DataFrames as tables of the lake: whole ones, partitions, columns, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from dagster import (
    AssetIn,
    AssetsDefinition,
    DailyPartitionsDefinition,
    ExecuteInProcessResult,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
    asset,
    materialize,
)

from slipway.config.errors import UserError
from slipway.resources import LakePandasIOManager, LakeResource

DAYS = DailyPartitionsDefinition(start_date="2024-01-01", end_date="2024-01-11")
REGIONS = StaticPartitionsDefinition(["us", "eu", "ap"])
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
BOTH = MultiPartitionsDefinition({"date": DAYS, "region": REGIONS})


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakeResource:
    for variable in ("SLIPWAY_PLATFORM", "SLIPWAY_PLATFORM_JSON", "SLIPWAY_LOCATION"):
        monkeypatch.delenv(variable, raising=False)
    return LakeResource(local_folder=str(tmp_path / "lake"), local_name="shop")


def run(
    lake: LakeResource,
    *assets: AssetsDefinition,
    schema: str | None = None,
    only: str | None = None,
    partition: str | None = None,
    span: tuple[str, str] | None = None,
) -> ExecuteInProcessResult:
    tags = dict(zip(RANGE, span, strict=True)) if span else None
    return materialize(
        assets,
        selection=[only] if only else None,
        partition_key=partition,
        tags=tags,
        resources={"io_manager": LakePandasIOManager(lake=lake, schema=schema)},
    )


def rows(lake: LakeResource, query: str) -> list[tuple[Any, ...]]:
    with lake.connect(read_only=True) as connection:
        return connection.execute(query).fetchall()


def returning(frame: pd.DataFrame, **arguments: Any) -> AssetsDefinition:
    @asset(name="sales", **arguments)
    def build() -> pd.DataFrame:
        return frame

    return build


def by_day(frame_of: Callable[[list[str]], pd.DataFrame], **arguments: Any) -> AssetsDefinition:
    """A partitioned asset whose frame follows from the run's keys."""

    @asset(name="sales", **{"metadata": {"partition_expr": "day"}, "partitions_def": DAYS, **arguments})
    def build(context) -> pd.DataFrame:
        return frame_of(list(context.partition_keys))

    return build


def days(keys: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"day": pd.to_datetime(keys), "amount": range(len(keys))})


def test_a_frame_goes_from_asset_to_asset_and_its_table_is_described(lake):
    @asset(ins={"sales": AssetIn(metadata={"columns": ["amount"]})})
    def total(sales: pd.DataFrame) -> pd.DataFrame:
        assert list(sales.columns) == ["amount"]
        return pd.DataFrame({"total": [sales["amount"].sum()]})

    result = run(
        lake, returning(pd.DataFrame({"name": ["a", "b"], "amount": [1, 2]})), total, schema="shop_1"
    )
    assert rows(lake, "FROM shop_1.total") == [(3,)]
    metadata = result.asset_materializations_for_node("sales")[0].metadata
    assert metadata["dagster/table_name"].value == "shop.shop_1.sales"
    assert metadata["dagster/row_count"].value == 2
    columns = metadata["dagster/column_schema"].value.columns
    assert [(column.name, column.type) for column in columns] == [("name", "varchar"), ("amount", "bigint")]


def test_the_assets_own_schema_goes_before_the_managers_and_that_before_the_prefix(lake):
    frame = pd.DataFrame({"x": [1]})
    run(lake, returning(frame, key_prefix="of_key", metadata={"schema": "of_asset"}), schema="of_manager")
    run(lake, returning(frame, key_prefix="of_key"), schema="of_manager")
    run(lake, returning(frame, key_prefix="of_key"))
    run(lake, returning(frame))
    found = rows(
        lake, "SELECT table_schema FROM information_schema.tables WHERE table_name = 'sales' ORDER BY 1"
    )
    assert found == [("of_asset",), ("of_key",), ("of_manager",), ("public",)]


def test_a_whole_table_is_replaced_with_its_columns(lake):
    run(lake, returning(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})))
    run(lake, returning(pd.DataFrame({"b": [1.5], "c": [True]})))
    assert rows(lake, "DESCRIBE public.sales")[0][:2] == ("b", "DOUBLE")
    assert rows(lake, "FROM public.sales") == [(1.5, True)]


def test_a_partition_replaces_its_rows_alone(lake):
    run(lake, by_day(days), span=("2024-01-01", "2024-01-03"))
    run(lake, by_day(lambda keys: days(keys).assign(amount=9)), partition="2024-01-02")
    assert rows(lake, "SELECT amount FROM public.sales ORDER BY day") == [(0,), (9,), (2,)]
    run(lake, by_day(lambda keys: days([])), partition="2024-01-01")
    assert rows(lake, "SELECT amount FROM public.sales ORDER BY day") == [(9,), (2,)]


def test_columns_of_a_later_partition_go_by_name(lake):
    run(lake, by_day(days), partition="2024-01-01")
    run(lake, by_day(lambda keys: days(keys)[["amount", "day"]].assign(amount=7)), partition="2024-01-02")
    assert rows(lake, "SELECT amount, day(day) FROM public.sales ORDER BY day") == [(0, 1), (7, 2)]
    with pytest.raises(duckdb.Error, match="price"):
        run(lake, by_day(lambda keys: days(keys).assign(price=1)), partition="2024-01-02")
    assert len(rows(lake, "FROM public.sales")) == 2


def test_an_empty_first_partition_makes_a_table_that_text_fits_into(lake):
    typed = {"day": "datetime64[ns]", "name": "object"}
    run(lake, by_day(lambda keys: pd.DataFrame(columns=list(typed)).astype(typed)), partition="2024-01-01")
    assert rows(lake, "FROM public.sales") == []
    run(
        lake,
        by_day(lambda keys: pd.DataFrame({"day": pd.to_datetime(keys), "name": "x"})),
        partition="2024-01-02",
    )
    assert rows(lake, "SELECT name FROM public.sales") == [("x",)]


def test_rows_of_another_partition_are_refused_and_nothing_is_written(lake):
    run(lake, by_day(days), partition="2024-01-01")
    with pytest.raises(UserError, match=r"1 of 2 rows are not of the run's partitions.*2024-01-02"):
        run(lake, by_day(lambda keys: days([*keys, "2024-01-03"])), partition="2024-01-02")
    assert rows(lake, "SELECT count(*) FROM public.sales") == [(1,)]


def both(keys: list[str]) -> pd.DataFrame:
    parts = [str(key).split("|") for key in keys]
    return pd.DataFrame(
        {"day": pd.to_datetime([day for day, _ in parts]), "region": [name for _, name in parts]}
    )


BY_DAY_AND_REGION = {
    "partitions_def": BOTH,
    "metadata": {"partition_expr": {"date": "day", "region": "region"}},
}


def test_two_dimensions_are_written_and_read_key_by_key_and_as_a_block(lake):
    sales = by_day(both, **BY_DAY_AND_REGION)
    seen: list[int] = []

    @asset(partitions_def=DAYS, metadata={"partition_expr": "day"})
    def regions(sales: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(sales))
        return sales[["day"]].drop_duplicates()

    @asset
    def everything(sales: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(sales))
        return sales

    run(lake, sales, partition="2024-01-05|eu")
    run(lake, sales, span=("2024-01-04|us", "2024-01-06|eu"))
    assert len(rows(lake, "SELECT DISTINCT * FROM public.sales")) == len(rows(lake, "FROM public.sales")) == 6
    run(lake, sales, regions, everything, only="regions", partition="2024-01-05")
    run(lake, sales, regions, everything, only="everything")
    assert seen == [2, 6]


def test_the_table_of_an_asset_that_was_never_made_is_named(lake):
    @asset
    def total(sales: pd.DataFrame) -> pd.DataFrame:
        raise AssertionError("not reached")

    run(lake, returning(pd.DataFrame({"x": [1]})), schema="elsewhere")
    with pytest.raises(Exception, match=r"(?s)public\.sales does not exist.*materialize sales first"):
        run(lake, returning(pd.DataFrame({"x": [1]})), total, only="total")


def test_a_location_without_pandas_can_import_it_and_is_told_what_to_install(tmp_path):
    script = """
import sys
from slipway.resources import LakePandasIOManager, LakeResource
assert "pandas" not in sys.modules
sys.modules["dagster_duckdb"] = sys.modules["dagster_duckdb_pandas"] = None
from dagster import asset, materialize
@asset
def sales(): return 1
materialize([sales], resources={"io_manager": LakePandasIOManager(lake=LakeResource())})
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "dagster_duckdb is not installed" in done.stderr
    assert "add dagster-duckdb-pandas to the location's dependencies" in done.stderr
