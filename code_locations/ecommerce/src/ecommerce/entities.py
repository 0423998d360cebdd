"""What the jaffle shop's source sends: entities, their columns and types, and which column identifies a row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entity:
    """One kind of thing that the source sends files of."""

    name: str
    description: str
    columns: dict[str, str]
    """DuckDB types by column, in the order of the files."""
    key: tuple[str, ...] = ("id",)
    """The columns that identify a row."""


ENTITIES = {
    entity.name: entity
    for entity in (
        Entity("customers", "People who have ordered at least once.", {"id": "VARCHAR", "name": "VARCHAR"}),
        Entity(
            "orders",
            "Orders, amounts in cents.",
            {
                "id": "VARCHAR",
                "customer": "VARCHAR",
                "ordered_at": "TIMESTAMP",
                "store_id": "VARCHAR",
                "subtotal": "BIGINT",
                "tax_paid": "BIGINT",
                "order_total": "BIGINT",
            },
        ),
        Entity(
            "items",
            "What was ordered: one row for each piece.",
            {"id": "VARCHAR", "order_id": "VARCHAR", "sku": "VARCHAR"},
        ),
        Entity(
            "products",
            "What is sold, prices in cents.",
            {
                "sku": "VARCHAR",
                "name": "VARCHAR",
                "type": "VARCHAR",
                "price": "BIGINT",
                "description": "VARCHAR",
            },
            key=("sku",),
        ),
        Entity(
            "supplies",
            "What a product uses up, cost in cents.",
            {"id": "VARCHAR", "name": "VARCHAR", "cost": "BIGINT", "perishable": "BOOLEAN", "sku": "VARCHAR"},
            key=("id", "sku"),
        ),
        Entity(
            "stores",
            "The chain's shops.",
            {"id": "VARCHAR", "name": "VARCHAR", "opened_at": "TIMESTAMP", "tax_rate": "DOUBLE"},
        ),
        Entity(
            "tweets",
            "What customers say.",
            {"id": "VARCHAR", "user_id": "VARCHAR", "tweeted_at": "TIMESTAMP", "content": "VARCHAR"},
        ),
    )
}


def entity_of(key: str) -> Entity:
    """The entity that an object's key belongs to: the name of its folder.

    Raises:
        ValueError: the folder is no entity's.
    """
    folder = key.split("/")[-2] if "/" in key else ""
    if folder not in ENTITIES:
        raise ValueError(f"no entity is called {folder!r}; files belong into {', '.join(ENTITIES)}")
    return ENTITIES[folder]
