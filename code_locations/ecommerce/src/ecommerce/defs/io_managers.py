"""Where DataFrames go: the one place that DAGSTER_ENV switches."""

import os
from collections.abc import Mapping

from dagster import Definitions, EnvVar, IOManager, definitions
from dagster._config.pythonic_config import ConfigurableIOManagerFactory
from slipway.resources import LakePandasIOManager, LakeResource

SCHEMA = "reports"


def io_manager(env: Mapping[str, str]) -> IOManager | ConfigurableIOManagerFactory[IOManager]:
    """The IO manager of an environment: the lake; for `local` a DuckDB file; for `snowflake` Snowflake.

    Raises:
        ValueError: DAGSTER_ENV is none of them.
    """
    match env.get("DAGSTER_ENV") or "lake":
        case "lake":
            return LakePandasIOManager(lake=LakeResource(local_name="ecommerce"), schema=SCHEMA)
        case "local":
            from dagster_duckdb_pandas import DuckDBPandasIOManager

            # On a platform, the file of a location that declares duckdb_file.
            return DuckDBPandasIOManager(
                database=env.get("SLIPWAY_DUCKDB_FILE") or "dev.duckdb", schema=SCHEMA
            )
        case "snowflake":
            from dagster_snowflake_pandas import SnowflakePandasIOManager

            return SnowflakePandasIOManager(
                account=EnvVar("SNOWFLAKE_ACCOUNT"),
                user=EnvVar("SNOWFLAKE_USER"),
                private_key=EnvVar("SNOWFLAKE_PRIVATE_KEY"),
                warehouse="COMPUTE_WH",
                database="ANALYTICS",
                schema=SCHEMA,
            )
        case other:
            raise ValueError(f"DAGSTER_ENV is {other!r}; it may be lake, local or snowflake")


@definitions
def io_managers() -> Definitions:
    """The IO manager of every asset that names no other."""
    return Definitions(resources={"io_manager": io_manager(os.environ)})
