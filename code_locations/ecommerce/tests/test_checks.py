"""Asset checks, one by one, and that an ERROR keeps what is downstream from being built."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import (
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    ExecuteInProcessResult,
    materialize,
)
from slipway.resources import LakeResource

from ecommerce.defs.checks import orders_fresh, orders_not_empty
from ecommerce.defs.io_managers import io_manager
from ecommerce.defs.marts import dim_customers, fct_orders, revenue_by_store_and_day


def change(lake: LakeResource, *statements: str) -> None:
    with lake.transaction() as connection:
        for statement in statements:
            connection.execute(statement)


def rebuild(lake: LakeResource, instance: DagsterInstance) -> ExecuteInProcessResult:
    return materialize(
        [fct_orders, revenue_by_store_and_day, dim_customers, orders_not_empty],
        resources={"lake": lake, "io_manager": io_manager({})},
        instance=instance,
        raise_on_error=False,
    )


def made(result: ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}


def count(lake: LakeResource, table: str) -> int:
    with lake.connect(read_only=True) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_an_empty_mart_is_an_error_that_blocks_what_is_downstream(
    loaded: LakeResource, instance: DagsterInstance
) -> None:
    kept = count(loaded, "marts.revenue_by_store_and_day")
    change(loaded, "DELETE FROM staging.stg_orders")
    result = rebuild(loaded, instance)
    assert not result.success
    assert made(result) == {"fct_orders"}
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity, check.blocking) == (False, AssetCheckSeverity.ERROR, True)
    assert check.metadata["row_count"].value == 0
    assert count(loaded, "marts.revenue_by_store_and_day") == kept > 0

    # It does not pass because it was built again, but because it has orders again.
    assert not rebuild(loaded, instance).success
    change(loaded, "INSERT INTO staging.stg_orders BY NAME (SELECT 'a' AS order_id, 's' AS store_id)")
    result = rebuild(loaded, instance)
    assert result.success
    assert made(result) == {"fct_orders", "revenue_by_store_and_day", "dim_customers"}


def test_before_the_first_order_an_empty_mart_is_a_warning_that_blocks_nothing(
    loaded: LakeResource, instance: DagsterInstance
) -> None:
    change(loaded, "DROP SCHEMA marts CASCADE", "DELETE FROM staging.stg_orders")
    result = rebuild(loaded, instance)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, AssetCheckSeverity.WARN)
    assert made(result) == {"fct_orders", "revenue_by_store_and_day", "dim_customers"}


@pytest.mark.parametrize(("hours", "passed"), [(0, True), (23, True), (25, False)])
def test_orders_are_fresh_when_some_have_landed_within_a_day(
    loaded: LakeResource, hours: int, passed: bool
) -> None:
    change(loaded, f"UPDATE raw.orders SET _loaded_at = now() - INTERVAL {hours} HOURS")
    result: Any = orders_fresh(loaded)
    assert result.passed is passed
    assert result.severity is AssetCheckSeverity.ERROR
    assert result.metadata["hours_since_latest"].value == pytest.approx(hours, abs=0.1)
    assert result.metadata["latest_order"].value == "2018-09-02"


def test_no_orders_are_not_fresh(loaded: LakeResource) -> None:
    change(loaded, "DELETE FROM raw.orders")
    assert orders_fresh(loaded).passed is False


def test_staleness_is_said_and_blocks_nothing() -> None:
    (spec,) = orders_fresh.check_specs
    assert (spec.asset_key, spec.blocking) == (AssetKey("fct_orders"), False)
