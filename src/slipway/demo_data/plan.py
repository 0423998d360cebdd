"""What happens to each day's file on its way into the landing: pure rules, the same in every run."""

from __future__ import annotations

from dataclasses import dataclass

Row = dict[str, str]

DAILY = ("customers", "items", "orders", "tweets")
"""Entities with a file for each day on which something happened; the others have one for the first day."""

COLUMNS: dict[str, dict[str, str]] = {
    "customers": {"id": "VARCHAR", "name": "VARCHAR"},
    "items": {"id": "VARCHAR", "order_id": "VARCHAR", "sku": "VARCHAR"},
    "orders": {
        "id": "VARCHAR",
        "customer": "VARCHAR",
        "ordered_at": "TIMESTAMP",
        "store_id": "VARCHAR",
        "subtotal": "BIGINT",
        "tax_paid": "BIGINT",
        "order_total": "BIGINT",
    },
    "products": {
        "sku": "VARCHAR",
        "name": "VARCHAR",
        "type": "VARCHAR",
        "price": "BIGINT",
        "description": "VARCHAR",
    },
    "stores": {"id": "VARCHAR", "name": "VARCHAR", "opened_at": "TIMESTAMP", "tax_rate": "DOUBLE"},
    "supplies": {
        "id": "VARCHAR",
        "name": "VARCHAR",
        "cost": "BIGINT",
        "perishable": "BOOLEAN",
        "sku": "VARCHAR",
    },
    "tweets": {"id": "VARCHAR", "user_id": "VARCHAR", "tweeted_at": "TIMESTAMP", "content": "VARCHAR"},
}
"""Columns of each entity, with DuckDB's types for the formats that have types."""

BROKEN = ("tweets", 4)
PARQUET_FROM = 181
OVERLAP_ROWS = 3


@dataclass(frozen=True)
class Edition:
    """One file as it lands once: on which day, and with what in it."""

    day: int
    rows: list[Row]
    broken: bool = False


def editions(entity: str, index: int, rows: list[Row], before: list[Row]) -> list[Edition]:
    """The editions of an entity's file of one day: one, or a wrong one and its correction.

    Args:
        entity: name of the entity.
        index: the business day, counted from 0.
        rows: what is true of that day.
        before: what is true of the day before.
    """
    if overlaps(entity, index):
        rows = before[-OVERLAP_ROWS:] + rows
    if late := lateness(entity, index):
        return [Edition(index + late, rows)]
    if delay := correction(entity, index):
        return [Edition(index, spoilt(entity, rows)), Edition(index + delay, rows)]
    return [Edition(index, rows, broken=(entity, index) == BROKEN)]


def lateness(entity: str, index: int) -> int:
    """By how many days a file arrives late; 0 is in time."""
    remainder = {"orders": 3, "items": 11}.get(entity)
    return 2 + index % 3 if remainder is not None and index % 23 == remainder else 0


def correction(entity: str, index: int) -> int:
    """After how many days a file is landed again with its errors mended; 0 is never."""
    if entity == "orders" and index % 31 == 2:
        return 4
    if entity == "items" and index % 47 == 1:
        return 3
    return 0


def overlaps(entity: str, index: int) -> bool:
    """Whether a file begins with the last rows of the day before."""
    return entity in ("orders", "items") and index % 17 == 8


def spoilt(entity: str, rows: list[Row]) -> list[Row]:
    """The rows as a source that is to correct itself first sends them."""
    if entity == "orders":
        return [{**row, "tax_paid": "0", "order_total": row["subtotal"]} for row in rows[:-1]]
    return rows[: len(rows) // 2]


def suffix(entity: str, index: int) -> str:
    """The format of an entity's file of one day, as the end of its name."""
    match entity:
        case "orders" if index >= PARQUET_FROM:
            return "parquet"
        case "orders":
            return "csv.gz" if index % 3 == 1 else "csv"
        case "items":
            return "parquet"
        case "tweets":
            return "jsonl.gz" if index % 2 else "jsonl"
        case "customers" | "stores":
            return "jsonl"
        case _:
            return "csv"
