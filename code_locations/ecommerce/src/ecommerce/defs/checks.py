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


@asset_check(asset="fct_orders")
def orders_not_empty(lake: LakeResource) -> AssetCheckResult:
    """There are orders."""
    with lake.connect(read_only=True) as connection:
        count = int(scalar(connection, "SELECT count(*) FROM marts.fct_orders"))
    return AssetCheckResult(passed=count > 0, metadata={"row_count": count})


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
    return Definitions(asset_checks=[orders_not_empty, revenue_reconciles, items_explain_subtotals])
