"""Mart tables: what people ask for."""

from __future__ import annotations

from datetime import timedelta

from dagster import (
    AssetsDefinition,
    AssetSelection,
    AutomationCondition,
    AutomationConditionSensorDefinition,
    DefaultSensorStatus,
    Definitions,
    FreshnessPolicy,
    MaterializeResult,
    asset,
    definitions,
)
from slipway.resources import LakeResource

from ecommerce.tables import describe, pool

WITHIN_THE_HOUR = FreshnessPolicy.time_window(warn_window=timedelta(hours=1), fail_window=timedelta(hours=25))
"""A warning an hour after the last build; a failure when the run of the morning was missed too."""

FOLLOW = AutomationCondition.eager() & AutomationCondition.all_deps_blocking_checks_passed()
"""Built anew when a table was that it is made of, unless the same run builds both, as the landing's does."""


def mart(
    name: str, query: str, *, reads: list[str], description: str, freshness: FreshnessPolicy | None = None
) -> AssetsDefinition:
    """An asset whose table is the result of a query over other tables."""
    table = f"marts.{name}"

    @asset(
        name=name,
        deps=reads,
        description=description,
        group_name="marts",
        kinds={"sql", "ducklake"},
        owners=["team:analytics"],
        pool=pool(table),
        freshness_policy=freshness,
        automation_condition=FOLLOW,
    )
    def build(lake: LakeResource) -> MaterializeResult:
        with lake.transaction() as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS marts")
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS {query}")
            return MaterializeResult(metadata=describe(connection, table))

    return build


fct_orders = mart(
    "fct_orders",
    """
    WITH supplies AS (
        SELECT sku, sum(cost) AS cost FROM staging.stg_supplies GROUP BY ALL
    ), contents AS (
        SELECT order_id,
               count(*) AS items,
               count(*) FILTER (product_type = 'jaffle') AS food_items,
               count(*) FILTER (product_type = 'beverage') AS drink_items,
               sum(price) AS items_price,
               sum(cost) AS supply_cost
        FROM staging.stg_items LEFT JOIN staging.stg_products USING (sku) LEFT JOIN supplies USING (sku)
        GROUP BY ALL
    )
    SELECT order_id, ordered_at, order_date, store_id, store_name, customer_id,
           coalesce(items, 0) AS items, coalesce(food_items, 0) AS food_items,
           coalesce(drink_items, 0) AS drink_items,
           subtotal, tax_paid, order_total,
           coalesce(items_price, 0) AS items_price, coalesce(supply_cost, 0) AS supply_cost,
           row_number() OVER (PARTITION BY customer_id ORDER BY ordered_at, order_id) AS customer_order_number
    FROM staging.stg_orders LEFT JOIN contents USING (order_id) LEFT JOIN staging.stg_stores USING (store_id)
    """,
    reads=["stg_orders", "stg_items", "stg_products", "stg_supplies", "stg_stores"],
    description="One row for each order, with what was in it and what its supplies cost.",
    freshness=WITHIN_THE_HOUR,
)

revenue_by_store_and_day = mart(
    "revenue_by_store_and_day",
    """
    SELECT order_date AS day, store_name AS store, count(*) AS orders, sum(items) AS items,
           sum(subtotal) AS revenue, sum(tax_paid) AS tax, sum(order_total) AS total
    FROM marts.fct_orders
    GROUP BY ALL ORDER BY ALL
    """,
    reads=["fct_orders"],
    description="Revenue of each store on each day; `revenue` is before tax, `total` with it.",
)

dim_customers = mart(
    "dim_customers",
    """
    WITH bought AS (
        SELECT customer_id, count(*) AS orders, min(order_date) AS first_order, max(order_date) AS last_order,
               sum(order_total) AS spent
        FROM marts.fct_orders GROUP BY ALL
    ), said AS (
        SELECT customer_id, count(*) AS tweets FROM staging.stg_tweets GROUP BY ALL
    )
    SELECT customer_id, customer_name, coalesce(orders, 0) AS orders, first_order, last_order,
           coalesce(spent, 0) AS spent, coalesce(tweets, 0) AS tweets
    FROM staging.stg_customers LEFT JOIN bought USING (customer_id) LEFT JOIN said USING (customer_id)
    """,
    reads=["stg_customers", "fct_orders", "stg_tweets"],
    description="One row for each customer: what they bought, and how much they tweet.",
)

product_sales = mart(
    "product_sales",
    """
    SELECT sku, product_name, product_type, count(item_id) AS sold,
           coalesce(sum(price) FILTER (item_id IS NOT NULL), 0) AS revenue
    FROM staging.stg_products LEFT JOIN staging.stg_items USING (sku)
    GROUP BY ALL ORDER BY revenue DESC, sku
    """,
    reads=["stg_products", "stg_items"],
    description="How often each product was sold, and for how much.",
)


automation = AutomationConditionSensorDefinition(
    "automation",
    target=AssetSelection.all(),
    default_status=DefaultSensorStatus.RUNNING,
    description="Starts what the automation conditions of the location's assets ask for.",
)


@definitions
def marts() -> Definitions:
    """The marts, and the sensor that keeps them up to date."""
    return Definitions(
        assets=[fct_orders, revenue_by_store_and_day, dim_customers, product_sales], sensors=[automation]
    )
