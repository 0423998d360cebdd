"""Partitions by day, and by day and region: rows of the run's partitions are replaced, and no others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from dagster import DagsterInstance, RunRequest, build_schedule_context, materialize
from slipway.resources import LakeResource

from ecommerce.definitions import defs
from ecommerce.defs.daily import DAYS, daily_orders, daily_pipeline, daily_schedule
from ecommerce.defs.io_managers import io_manager
from ecommerce.defs.regions import DAYS_AND_REGIONS, region_shares, regional_sales

ASSETS = [daily_orders, regional_sales, region_shares]
FIRST, SECOND = "2018-09-01", "2018-09-02"


def make(asset: Any, lake: LakeResource, partition: str | None = None, **tags: str) -> Any:
    result = materialize(
        ASSETS,
        selection=[asset],
        partition_key=partition,
        tags={f"dagster/asset_partition_range_{name}": key for name, key in tags.items()},
        resources={"lake": lake, "io_manager": io_manager({})},
    )
    assert result.success
    return result.get_asset_materialization_events()[0].materialization.metadata


def rows(lake: LakeResource, query: str) -> list[tuple[Any, ...]]:
    with lake.connect(read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_a_day_has_the_orders_of_that_day(loaded: LakeResource) -> None:
    metadata = make(daily_orders, loaded, FIRST)
    assert metadata["partition"].value == FIRST
    of_day = "FROM marts.fct_orders WHERE order_date = '2018-09-01'"
    assert rows(loaded, "SELECT DISTINCT CAST(day AS VARCHAR) FROM daily.daily_orders") == [(FIRST,)]
    assert rows(loaded, "SELECT sum(orders), sum(items), sum(total) FROM daily.daily_orders") == rows(
        loaded, f"SELECT count(*), sum(items), sum(order_total) {of_day}"
    )
    assert rows(loaded, "SELECT count(*) FROM daily.daily_orders") == [(metadata["row_count"].value,)]


def test_a_day_made_again_replaces_its_rows_and_leaves_the_others(loaded: LakeResource) -> None:
    make(daily_orders, loaded, start=FIRST, end=SECOND)
    before = rows(loaded, "FROM daily.daily_orders ORDER BY ALL")
    assert {str(row[0]) for row in before} == {FIRST, SECOND}
    with loaded.transaction() as connection:
        connection.execute("UPDATE daily.daily_orders SET orders = 0")
        connection.execute("INSERT INTO daily.daily_orders FROM daily.daily_orders")
    make(daily_orders, loaded, SECOND)
    assert rows(loaded, f"FROM daily.daily_orders WHERE day = '{SECOND}' ORDER BY ALL") == [
        row for row in before if str(row[0]) == SECOND
    ]
    assert rows(loaded, f"SELECT sum(orders) FROM daily.daily_orders WHERE day = '{FIRST}'") == [(0,)]


def test_many_days_are_one_run_and_say_so(loaded: LakeResource) -> None:
    metadata = make(daily_orders, loaded, start=FIRST, end="2018-09-30")
    assert metadata["partition"].value == "2018-09-01...2018-09-30"
    assert rows(loaded, "SELECT sum(orders) FROM daily.daily_orders") == rows(
        loaded, "SELECT count(*) FROM marts.fct_orders"
    )


def test_a_day_without_orders_is_an_empty_partition(loaded: LakeResource) -> None:
    assert make(daily_orders, loaded, "2024-02-29")["row_count"].value == 0
    make(regional_sales, loaded, "2024-02-29|east")
    assert rows(loaded, "SELECT count(*) FROM reports.regional_sales") == [(0,)]
    make(daily_orders, loaded, FIRST)
    make(regional_sales, loaded, f"{FIRST}|east")
    assert rows(loaded, "SELECT count(*) FROM reports.regional_sales") == [(1,)]


def test_every_order_is_in_one_region(loaded: LakeResource) -> None:
    with loaded.transaction() as connection:
        connection.execute("UPDATE marts.fct_orders SET store_name = 'Chicago' WHERE hour(ordered_at) < 12")
        connection.execute("UPDATE marts.fct_orders SET store_name = NULL WHERE hour(ordered_at) > 12")
    make(daily_orders, loaded, start=FIRST, end=SECOND)
    make(regional_sales, loaded, start=f"{FIRST}|east", end=f"{SECOND}|other")
    query = "SELECT region, sum(orders) FROM reports.regional_sales GROUP BY ALL ORDER BY ALL"
    assert [region for region, _ in rows(loaded, query)] == ["central", "east", "other"]
    assert rows(loaded, "SELECT sum(orders), sum(revenue) FROM reports.regional_sales") == rows(
        loaded, "SELECT count(*), CAST(sum(order_total) AS DOUBLE) FROM marts.fct_orders"
    )


def test_a_region_of_a_day_made_again_replaces_its_rows_and_leaves_the_others(loaded: LakeResource) -> None:
    make(daily_orders, loaded, start=FIRST, end=SECOND)
    make(regional_sales, loaded, start=f"{FIRST}|east", end=f"{SECOND}|other")
    before = rows(loaded, "FROM reports.regional_sales ORDER BY ALL")
    assert [str(row[0])[:10] for row in before] == [FIRST, SECOND]
    with loaded.transaction() as connection:
        connection.execute("UPDATE reports.regional_sales SET orders = 0")
    make(regional_sales, loaded, f"{SECOND}|west")
    assert rows(loaded, "SELECT sum(orders) FROM reports.regional_sales") == [(0,)]
    make(regional_sales, loaded, f"{SECOND}|east")
    assert rows(loaded, "SELECT orders FROM reports.regional_sales ORDER BY day") == [(0,), (before[1][2],)]


def test_a_dataframe_goes_from_one_asset_to_the_next(loaded: LakeResource) -> None:
    make(daily_orders, loaded, start=FIRST, end=SECOND)
    make(regional_sales, loaded, start=f"{FIRST}|east", end=f"{SECOND}|other")
    metadata = make(region_shares, loaded)
    assert metadata["dagster/table_name"].value == "ecommerce.reports.region_shares"
    assert rows(loaded, "FROM reports.region_shares") == rows(
        loaded, "SELECT 'east', CAST(sum(order_total) AS DOUBLE), 1.0 FROM marts.fct_orders"
    )


def test_the_schedule_makes_the_day_that_is_over(loaded: LakeResource, instance: DagsterInstance) -> None:
    schedule = defs().get_repository_def().get_schedule_def(daily_schedule.name)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", "UTC")
    at = datetime(2018, 9, 3, 6, tzinfo=UTC)
    tick = schedule.evaluate_tick(build_schedule_context(instance, scheduled_execution_time=at))
    (request,) = tick.run_requests
    assert isinstance(request, RunRequest)
    assert request.partition_key == SECOND
    job = defs().resolve_job_def(daily_pipeline.name)
    result = job.execute_in_process(instance=instance, partition_key=request.partition_key)
    assert result.success
    assert {"fct_orders", "stg_orders", "daily_orders"} <= {
        key.to_user_string()
        for event in result.get_asset_materialization_events()
        for key in [event.asset_key]
    }
    assert rows(loaded, "SELECT DISTINCT CAST(day AS VARCHAR) FROM daily.daily_orders") == [(SECOND,)]


@pytest.mark.parametrize(
    ("now", "days"), [(datetime(2018, 9, 1, 23, tzinfo=UTC), 0), (datetime(2026, 11, 24, tzinfo=UTC), 3006)]
)
def test_a_partition_is_there_when_its_day_is_over(now: datetime, days: int) -> None:
    assert len(DAYS.get_partition_keys(current_time=now)) == days
    assert len(DAYS_AND_REGIONS.get_partition_keys(current_time=now)) == 4 * days
