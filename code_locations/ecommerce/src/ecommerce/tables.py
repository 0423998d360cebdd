"""What is said of every table when it has been written: rows, columns, a preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
from dagster import MetadataValue, TableColumn, TableSchema

PREVIEW_ROWS = 5


def pool(table: str) -> str:
    """The concurrency pool that serialises what rewrites a table, so that two runs never collide in it."""
    return f"ecommerce_{table.replace('.', '_')}"


def describe(connection: duckdb.DuckDBPyConnection, table: str) -> Mapping[str, Any]:
    """Metadata of a table of the lake as it is now."""
    count = scalar(connection, f"SELECT count(*) FROM {table}")
    columns = connection.execute(f"DESCRIBE {table}").fetchall()
    location = scalar(connection, "SELECT current_database()")
    return {
        "dagster/row_count": int(count),
        "dagster/table_name": f"{location}.{table}",
        "dagster/column_schema": TableSchema([TableColumn(name, kind.lower()) for name, kind, *_ in columns]),
        "preview": MetadataValue.md(markdown(connection, f"SELECT * FROM {table} LIMIT {PREVIEW_ROWS}")),
    }


def scalar(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any] = ()) -> Any:
    """The first value of a query's only row."""
    row = connection.execute(query, parameters).fetchone()
    assert row is not None, query
    return row[0]


def markdown(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """The result of a query as a Markdown table."""
    result = connection.execute(query)
    header = [column[0] for column in result.description]
    lines = [header, ["---"] * len(header), *result.fetchall()]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
