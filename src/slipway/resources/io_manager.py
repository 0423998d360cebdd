"""The IO manager that keeps pandas DataFrames as tables of the lake.

pandas takes about a second to import, and an IO manager belongs to every step of a run: it is imported by the steps
that pass DataFrames, and needs to be installed for them alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dagster import ConfigurableIOManager, InputContext, OutputContext
from pydantic import Field

from slipway.config.errors import UserError
from slipway.resources.resource import LakeResource

if TYPE_CHECKING:
    from dagster._core.storage.db_io_manager import DbIOManager


class LakePandasIOManager(ConfigurableIOManager):
    """What an asset returns as a DataFrame becomes a table of the lake; an argument of another asset reads it.

    The table is `<schema>.<name of the asset>`. A partitioned asset names its column in the metadata
    `partition_expr`, and each run replaces the rows of its partitions; any other asset's table is replaced whole.
    One transaction does either. `AssetIn(metadata={"columns": […]})` reads some columns.

    The location installs `dagster-duckdb-pandas`, whose conventions these are.
    """

    lake: LakeResource = Field(description="The lake that the tables are in.")
    schema_: str | None = Field(
        default=None,
        alias="schema",
        description="Schema of the tables whose asset names none in its metadata; else the key's prefix, else public.",
    )

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Write an asset's DataFrame.

        Raises:
            UserError: dagster-duckdb-pandas is missing, or the frame has rows of other partitions than the run's.
        """
        self._tables().handle_output(context, obj)

    def load_input(self, context: InputContext) -> Any:
        """Read an asset's table, of a partitioned one the partitions that are asked for.

        Raises:
            UserError: dagster-duckdb-pandas is missing, or the table does not exist.
        """
        return self._tables().load_input(context)

    def _tables(self) -> DbIOManager:
        try:
            from slipway.resources.frames import tables
        except ModuleNotFoundError as error:
            raise UserError(
                f"DataFrames cannot be kept in the lake: {str(error.name).split('.')[0]} is not installed",
                "add dagster-duckdb-pandas to the location's dependencies, and lock again (make lock)",
            ) from None
        return tables(self.lake, os.environ.get("SLIPWAY_LOCATION") or self.lake.local_name, self.schema_)
