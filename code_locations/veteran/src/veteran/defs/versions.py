"""What this location runs on, which is its own affair."""

import platform
from importlib.metadata import version

from dagster import AssetCheckResult, MaterializeResult, asset, asset_check
from slipway.resources.duckdb import open_connection

DISTRIBUTIONS = ("dagster", "duckdb", "pydantic", "slipway")


@asset(group_name="veteran", kinds={"python"}, owners=["team:data-platform"])
def versions() -> MaterializeResult:
    """The versions that a run of this location sees, and what DuckDB may use in it."""
    with open_connection() as connection:
        settings = dict(
            connection.execute(
                "SELECT name, value FROM duckdb_settings() "
                "WHERE name IN ('memory_limit', 'threads', 'temp_directory', 'max_temp_directory_size')"
            ).fetchall()
        )
    return MaterializeResult(
        metadata={
            "python": platform.python_version(),
            **{name: version(name) for name in DISTRIBUTIONS},
            **{f"duckdb/{name}": value for name, value in settings.items()},
        }
    )


@asset_check(asset=versions)
def duckdb_computes() -> AssetCheckResult:
    """This location's own DuckDB works."""
    with open_connection() as connection:
        answer = connection.execute("SELECT sum(range) FROM range(1000)").fetchone()
    return AssetCheckResult(passed=answer == (499500,))
