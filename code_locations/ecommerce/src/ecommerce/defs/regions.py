"""Reports by region: DataFrames, which the IO manager keeps wherever DAGSTER_ENV says."""

from typing import TYPE_CHECKING, Any

from dagster import (
    AssetExecutionContext,
    AssetIn,
    AutomationCondition,
    BackfillPolicy,
    Definitions,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
    asset,
    definitions,
)
from slipway.resources import LakeResource

from ecommerce.defs.daily import DAYS
from ecommerce.tables import pool

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    # pandas takes a second to import. Dagster takes Any for what the IO manager gives: a DataFrame.
    DataFrame = Any

REGIONS = {
    "east": ("Philadelphia", "Brooklyn"),
    "central": ("Chicago", "New Orleans"),
    "west": ("San Francisco", "Los Angeles"),
}
"""Stores by region; any other store's region is OTHER, so that no order is left out."""

OTHER = "other"

DAYS_AND_REGIONS = MultiPartitionsDefinition(
    {"date": DAYS, "region": StaticPartitionsDefinition([*REGIONS, OTHER])}
)

WHENS = " ".join(f"WHEN store_name IN {stores} THEN '{region}'" for region, stores in REGIONS.items())


@asset(
    partitions_def=DAYS_AND_REGIONS,
    deps=["daily_orders"],
    backfill_policy=BackfillPolicy.single_run(),
    automation_condition=AutomationCondition.eager(),
    metadata={"partition_expr": {"date": "day", "region": "region"}},
    description="Orders and revenue of each region on each day.",
    group_name="reports",
    kinds={"pandas"},
    owners=["team:analytics"],
    pool=pool("reports"),
)
def regional_sales(context: AssetExecutionContext, lake: LakeResource) -> DataFrame:
    """The rows of the run's days and regions; the IO manager puts them in the place of what was there."""
    start, end = context.partition_time_window
    regions = sorted({key.keys_by_dimension["region"] for key in context.partition_keys})
    query = f"""
        SELECT CAST(day AS TIMESTAMP) AS day, CASE {WHENS} ELSE '{OTHER}' END AS region,
               CAST(sum(orders) AS BIGINT) AS orders, CAST(sum(total) AS DOUBLE) AS revenue
        FROM daily.daily_orders WHERE day >= $1 AND day < $2 AND region IN (SELECT unnest($3))
        GROUP BY ALL ORDER BY ALL
    """
    with lake.connect(read_only=True) as connection:
        return connection.execute(query, [start.date(), end.date(), regions]).df()


@asset(
    ins={"regional_sales": AssetIn(metadata={"columns": ["region", "revenue"]})},
    description="Each region's revenue and its share of the whole.",
    group_name="reports",
    kinds={"pandas"},
    owners=["team:analytics"],
    pool=pool("reports"),
)
def region_shares(regional_sales: DataFrame) -> DataFrame:
    """Takes the table that the IO manager kept, and of that two columns."""
    shares = regional_sales.groupby("region", as_index=False).sum()
    return shares.assign(share=shares["revenue"] / shares["revenue"].sum())


@definitions
def regions() -> Definitions:
    """The reports."""
    return Definitions(assets=[regional_sales, region_shares])
