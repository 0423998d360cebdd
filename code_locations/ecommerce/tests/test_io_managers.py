"""DAGSTER_ENV decides where DataFrames go, and nothing else has to change."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from dagster import AssetKey, DagsterInstance
from dagster_duckdb_pandas import DuckDBPandasIOManager
from slipway.resources import LakePandasIOManager, LakeResource

from ecommerce.definitions import defs
from ecommerce.defs.io_managers import io_manager

DAY = "2018-09-01"


def make_reports(instance: DagsterInstance) -> None:
    """The assets as the project defines them, in the environment as it is."""
    job = defs().resolve_job_def("__ASSET_JOB")
    for asset, partition in (("daily_orders", DAY), ("regional_sales", f"{DAY}|east")):
        result = job.execute_in_process(
            instance=instance, asset_selection=[AssetKey(asset)], partition_key=partition
        )
        assert result.success


def test_the_lake_unless_something_else_is_asked_for(loaded: LakeResource, instance: DagsterInstance) -> None:
    make_reports(instance)
    with loaded.connect(read_only=True) as connection:
        assert connection.execute("SELECT region FROM reports.regional_sales").fetchall() == [("east",)]
    assert not Path("dev.duckdb").exists()


def test_local_is_a_duckdb_file(
    loaded: LakeResource, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_ENV", "local")
    make_reports(instance)
    with duckdb.connect("dev.duckdb") as connection:
        assert connection.execute("SELECT region FROM reports.regional_sales").fetchall() == [("east",)]
    with loaded.connect(read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM daily.daily_orders").fetchone() != (0,)
        with pytest.raises(duckdb.CatalogException):
            connection.execute("FROM reports.regional_sales")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, LakePandasIOManager),
        ({"DAGSTER_ENV": ""}, LakePandasIOManager),
        ({"DAGSTER_ENV": "lake"}, LakePandasIOManager),
        ({"DAGSTER_ENV": "local"}, DuckDBPandasIOManager),
    ],
)
def test_each_environment_has_its_io_manager(env: dict[str, str], expected: type) -> None:
    assert isinstance(io_manager(env), expected)


def test_on_a_platform_the_file_is_the_locations_own() -> None:
    found = io_manager({"DAGSTER_ENV": "local", "SLIPWAY_DUCKDB_FILE": "/data/shop.duckdb"})
    assert isinstance(found, DuckDBPandasIOManager)
    assert found.database == "/data/shop.duckdb"


def test_an_environment_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"'prod'; it may be lake, local or snowflake"):
        io_manager({"DAGSTER_ENV": "prod"})
