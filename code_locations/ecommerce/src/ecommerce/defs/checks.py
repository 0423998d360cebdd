"""Asset checks of the marts; that keys are unique, the staging tables say themselves."""

from __future__ import annotations

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    Definitions,
    asset_check,
    definitions,
)
from slipway.resources import LakeResource

from ecommerce.tables import scalar

FRESH_HOURS = 24


@asset_check(asset="fct_orders", blocking=True)
def orders_not_empty(lake: LakeResource) -> AssetCheckResult:
    """There are orders. If not, what is downstream stays as it is; as long as that is empty too, it is a warning."""
    with lake.connect(read_only=True) as connection:
        count = int(scalar(connection, "SELECT count(*) FROM marts.fct_orders"))
        made = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'revenue_by_store_and_day'"
        kept = scalar(connection, made) and scalar(
            connection, "SELECT count(*) FROM marts.revenue_by_store_and_day"
        )
    return AssetCheckResult(
        passed=count > 0,
        severity=AssetCheckSeverity.ERROR if kept else AssetCheckSeverity.WARN,
        metadata={"row_count": count},
    )


@asset_check(asset="fct_orders")
def orders_fresh(lake: LakeResource) -> AssetCheckResult:
    """Orders have landed within a day. Their own dates do not count: a sample, or a reload, is of long ago."""
    query = "SELECT date_diff('minute', max(_loaded_at), now()) / 60 FROM raw.orders"
    with lake.connect(read_only=True) as connection:
        hours = scalar(connection, query)
        latest = scalar(connection, "SELECT max(order_date) FROM marts.fct_orders")
    return AssetCheckResult(
        passed=hours is not None and hours < FRESH_HOURS,
        severity=AssetCheckSeverity.ERROR,
        metadata={"hours_since_latest": hours, "latest_order": str(latest)},
    )


@asset_check(asset="revenue_by_store_and_day")
def revenue_reconciles(lake: LakeResource) -> AssetCheckResult:
    """What the mart adds up to is what the staged orders add up to, to the cent."""
    with lake.connect(read_only=True) as connection:
        mart = connection.execute(
            "SELECT coalesce(sum(orders), 0), coalesce(sum(total), 0) FROM marts.revenue_by_store_and_day"
        ).fetchone()
        staged = connection.execute(
            "SELECT count(*), coalesce(sum(order_total), 0) FROM staging.stg_orders"
        ).fetchone()
    return AssetCheckResult(passed=mart == staged, metadata={"mart": str(mart), "staging": str(staged)})


@asset_check(asset="fct_orders")
def items_explain_subtotals(lake: LakeResource) -> AssetCheckResult:
    """The prices of an order's items add up to its subtotal. A warning, since orders may land before their items."""
    query = "SELECT count(*) FROM marts.fct_orders WHERE items_price <> subtotal"
    with lake.connect(read_only=True) as connection:
        unexplained = int(scalar(connection, query))
    return AssetCheckResult(
        passed=unexplained == 0,
        severity=AssetCheckSeverity.WARN,
        metadata={"unexplained_orders": unexplained},
    )


@definitions
def checks() -> Definitions:
    """The checks."""
    return Definitions(
        asset_checks=[orders_not_empty, orders_fresh, revenue_reconciles, items_explain_subtotals]
    )
