"""A table that is built day by day, and the job that builds yesterday's part of it every morning."""

from dagster import (
    AssetExecutionContext,
    AssetSelection,
    BackfillPolicy,
    DailyPartitionsDefinition,
    DefaultScheduleStatus,
    Definitions,
    MaterializeResult,
    asset,
    build_schedule_from_partitioned_job,
    define_asset_job,
    definitions,
)
from slipway.resources import LakeResource

from ecommerce.tables import pool, scalar

DAYS = DailyPartitionsDefinition(start_date="2018-09-01", timezone="UTC")
"""One partition for each day since the first shop opened; a partition is there when its day is over."""

TABLE = "daily.daily_orders"


@asset(
    partitions_def=DAYS,
    deps=["fct_orders"],
    # A backfill of a year is one query, and so one run.
    backfill_policy=BackfillPolicy.single_run(),
    description="Orders of a day by store and hour.",
    group_name="daily",
    kinds={"sql", "ducklake"},
    owners=["team:analytics"],
    pool=pool(TABLE),
)
def daily_orders(context: AssetExecutionContext, lake: LakeResource) -> MaterializeResult:
    """Replaces the rows of the run's days, and no others: a run repeated changes nothing."""
    days = [window.date() for window in context.partition_time_window]
    with lake.transaction() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS daily")
        query = """
            SELECT order_date AS day, hour(ordered_at) AS hour, store_id, store_name,
                   count(*) AS orders, sum(items) AS items, sum(order_total) AS total
            FROM marts.fct_orders WHERE order_date >= $1 AND order_date < $2
            GROUP BY ALL ORDER BY ALL
        """
        connection.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} AS {query} LIMIT 0", days)
        connection.execute(f"DELETE FROM {TABLE} WHERE day >= $1 AND day < $2", days)
        connection.execute(f"INSERT INTO {TABLE} {query}", days)
        rows = scalar(connection, f"SELECT count(*) FROM {TABLE} WHERE day >= $1 AND day < $2", days)
    partition = "...".join(dict.fromkeys(context.partition_key_range))
    return MaterializeResult(metadata={"row_count": rows, "partition": partition})


daily_pipeline = define_asset_job(
    "daily_pipeline",
    # All that is made of the raw tables, so that a morning also mends what a failed run left half done.
    selection=AssetSelection.groups("staging", "marts") | AssetSelection.assets(daily_orders),
    description="Rebuilds the tables, checks them, and adds the day that is over.",
)

daily_schedule = build_schedule_from_partitioned_job(
    daily_pipeline, hour_of_day=6, default_status=DefaultScheduleStatus.RUNNING
)


@definitions
def daily() -> Definitions:
    """The table, its job and its schedule."""
    return Definitions(assets=[daily_orders], jobs=[daily_pipeline], schedules=[daily_schedule])
