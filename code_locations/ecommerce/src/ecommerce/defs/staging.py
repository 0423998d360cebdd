"""Staging tables: named and typed for use, amounts in the currency's unit, each key once."""

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetsDefinition,
    Definitions,
    MaterializeResult,
    asset,
    definitions,
)
from slipway.resources import LakeResource

from ecommerce.entities import ENTITIES, Entity
from ecommerce.tables import describe, pool, scalar

MONEY = "DECIMAL(12, 2)"

COLUMNS: dict[str, dict[str, str]] = {
    "customers": {"customer_id": "id", "customer_name": "name"},
    "orders": {
        "order_id": "id",
        "customer_id": "customer",
        "store_id": "store_id",
        "ordered_at": "ordered_at",
        "order_date": "CAST(ordered_at AS DATE)",
        "subtotal": f"CAST(subtotal * 0.01 AS {MONEY})",
        "tax_paid": f"CAST(tax_paid * 0.01 AS {MONEY})",
        "order_total": f"CAST(order_total * 0.01 AS {MONEY})",
    },
    "items": {"item_id": "id", "order_id": "order_id", "sku": "sku"},
    "products": {
        "sku": "sku",
        "product_name": "name",
        "product_type": "type",
        "description": "description",
        "price": f"CAST(price * 0.01 AS {MONEY})",
    },
    "supplies": {
        "supply_id": "id",
        "sku": "sku",
        "supply_name": "name",
        "cost": f"CAST(cost * 0.01 AS {MONEY})",
        "perishable": "perishable",
    },
    "stores": {
        "store_id": "id",
        "store_name": "name",
        "opened_on": "CAST(opened_at AS DATE)",
        "tax_rate": "tax_rate",
    },
    "tweets": {"tweet_id": "id", "customer_id": "user_id", "tweeted_at": "tweeted_at", "content": "content"},
}
"""Columns of each staging table, and what they are in the raw one."""


def query(entity: Entity) -> str:
    """The staging table of an entity. Of rows with one key, the one from the greatest object key counts."""
    columns = ", ".join(f"{source} AS {name}" for name, source in COLUMNS[entity.name].items())
    return f"""
        SELECT {columns} FROM raw.{entity.name}
        QUALIFY row_number() OVER (PARTITION BY {", ".join(entity.key)} ORDER BY _key DESC) = 1
    """


def staged(entity: Entity) -> AssetsDefinition:
    """The asset of an entity's staging table, which it checks while it has it open."""
    table = f"staging.stg_{entity.name}"
    names = {source: name for name, source in COLUMNS[entity.name].items()}
    keys = ", ".join(names[column] for column in entity.key)

    @asset(
        name=f"stg_{entity.name}",
        deps=[f"raw_{entity.name}"],
        check_specs=[
            AssetCheckSpec("keys_unique", asset=f"stg_{entity.name}", description=f"Each {keys} stands once.")
        ],
        description=f"{entity.description.replace('in cents', 'in dollars')} Each {keys} once.",
        group_name="staging",
        kinds={"sql", "ducklake"},
        owners=["team:data-platform"],
        pool=pool(table),
    )
    def build(lake: LakeResource) -> MaterializeResult:
        with lake.transaction() as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS staging")
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS {query(entity)}")
            repeated = int(scalar(connection, f"SELECT count(*) - count(DISTINCT ({keys})) FROM {table}"))
            return MaterializeResult(
                metadata=describe(connection, table),
                check_results=[AssetCheckResult(passed=repeated == 0, metadata={"repeated": repeated})],
            )

    return build


@definitions
def staging() -> Definitions:
    """One asset for each entity."""
    return Definitions(assets=[staged(entity) for entity in ENTITIES.values()])
