"""DataFrames in the lake, by dagster-duckdb's conventions for schema, partitions and columns.

Ours are the connection, a transaction, and what upstream leaves to chance: an empty frame makes an empty table, columns
go by name, and a row outside of the run's partitions is an error instead of a duplicate at the next run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import duckdb
import pandas as pd
from dagster import (
    InputContext,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    OutputContext,
    PartitionKeyRange,
    TableColumn,
    TableSchema,
)
from dagster._core.storage.db_io_manager import DbIOManager, TableSlice
from dagster_duckdb.io_manager import DuckDbClient
from dagster_duckdb_pandas import DuckDBPandasTypeHandler

from slipway.config.errors import UserError
from slipway.resources.duckdb import identifier
from slipway.resources.resource import LakeResource


def tables(lake: LakeResource, location: str, schema: str | None) -> DbIOManager:
    """Dagster's IO manager for databases, on a lake."""
    return _LakeTables(
        db_client=_LakeClient(lake),
        type_handlers=[_FrameHandler()],
        database=location,
        schema=schema,
        io_manager_name="LakePandasIOManager",
        default_load_type=pd.DataFrame,
    )


class _LakeTables(DbIOManager):
    """Upstream's, for several keys of both dimensions at once too."""

    def _get_table_slice(
        self, context: OutputContext | InputContext, output_context: OutputContext
    ) -> TableSlice:
        if context.has_asset_key and context.has_asset_partitions:
            definition = context.asset_partitions_def
            if isinstance(definition, MultiPartitionsDefinition):
                context = cast("OutputContext", _Block(context, definition))
        return super()._get_table_slice(context, output_context)


class _Block:
    """A context whose partitions, of two dimensions, are a range from corner to corner."""

    def __init__(self, context: OutputContext | InputContext, definition: MultiPartitionsDefinition) -> None:
        self._context = context
        self._definition = definition

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    @property
    def asset_partition_key_range(self) -> PartitionKeyRange:
        keys = [
            self._definition.get_partition_key_from_str(key) for key in self._context.asset_partition_keys
        ]
        first, last = {}, {}
        for dimension in self._definition.partitions_defs:
            wanted = {key.keys_by_dimension[dimension.name] for key in keys}
            ordered = [key for key in dimension.partitions_def.get_partition_keys() if key in wanted]
            first[dimension.name], last[dimension.name] = ordered[0], ordered[-1]
        block = PartitionKeyRange(MultiPartitionKey(first), MultiPartitionKey(last))
        if len(self._definition.get_partition_keys_in_range(block)) != len(keys):
            raise UserError(
                f"{len(keys)} partitions between {block.start} and {block.end} cannot be one table's rows at once:"
                " some between them are left out",
                "select whole ranges of both dimensions, or one partition for each run",
            )
        return block


class _LakeClient(DuckDbClient):
    """Connections to the lake: a transaction for an output, read-only for an input."""

    def __init__(self, lake: LakeResource) -> None:
        self._lake = lake

    @contextmanager
    def connect(  # type: ignore[override]  # upstream's is static, and called on the object
        self, context: OutputContext | InputContext, table_slice: TableSlice
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        if isinstance(context, OutputContext):
            with self._lake.transaction() as connection:
                yield connection
        else:
            with self._lake.connect(read_only=True) as connection:
                yield connection

    @staticmethod
    def delete_table_slice(context: OutputContext, table_slice: TableSlice, connection: Any) -> None:
        # A whole table is replaced instead. An error, as upstream waits for, would end the transaction.
        if table_slice.partition_dimensions and _exists(connection, table_slice):
            DuckDbClient.delete_table_slice(context, table_slice, connection)


class _FrameHandler(DuckDBPandasTypeHandler):
    """Writes and reads one table."""

    def handle_output(
        self, context: OutputContext, table_slice: TableSlice, obj: pd.DataFrame, connection: Any
    ) -> dict[str, Any]:
        table = f"{table_slice.schema}.{table_slice.table}"
        rows = f"SELECT {_columns(obj)} FROM obj"  # noqa: S608 - identifiers, quoted
        if not table_slice.partition_dimensions:
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS {rows}")
        else:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {rows} LIMIT 0")
            connection.execute(f"INSERT INTO {table} BY NAME {rows}")
            query = DuckDbClient.get_select_statement(table_slice._replace(columns=None))
            (found,) = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()  # noqa: S608
            if found != len(obj):
                raise UserError(
                    f"{table}: {len(obj) - found} of {len(obj)} rows are not of the run's partitions:"
                    f" {query.partition('WHERE')[2].strip()}",
                    "return the rows of context.partition_keys alone, and see that partition_expr names their column",
                )
        described = connection.execute(f"DESCRIBE {table}").fetchall()
        return {
            "dagster/partition_row_count" if context.has_partition_key else "dagster/row_count": len(obj),
            "dagster/storage_kind": "ducklake",
            "dagster/column_schema": TableSchema(
                [TableColumn(name, kind.lower()) for name, kind, *_ in described]
            ),
        }

    def load_input(self, context: InputContext, table_slice: TableSlice, connection: Any) -> pd.DataFrame:
        if not _exists(connection, table_slice):
            raise UserError(
                f"{table_slice.schema}.{table_slice.table} does not exist in the lake",
                f"materialize {context.asset_key.to_user_string()} first; what an asset writes without the IO manager"
                " is read by SQL, or needs its schema in the asset's metadata",
            )
        return super().load_input(context, table_slice, connection)


def _columns(frame: pd.DataFrame) -> str:
    """The frame's columns as SQL; those of an empty frame that have no type are text."""
    return ", ".join(
        f"CAST({identifier(str(name))} AS VARCHAR) AS {identifier(str(name))}"
        if frame.empty and pd.api.types.is_object_dtype(kind)
        else identifier(str(name))
        for name, kind in frame.dtypes.items()
    )


def _exists(connection: Any, table_slice: TableSlice) -> bool:
    query = """
        SELECT count(*) FROM information_schema.tables
        WHERE table_catalog = current_database() AND lower(table_schema) = lower($1) AND lower(table_name) = lower($2)
    """
    return bool(connection.execute(query, [table_slice.schema, table_slice.table]).fetchone()[0])
