"""Bootstrap's work on the lake: a catalogue for each location, and the trigger that ties it to the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from sqlalchemy import text

from slipway.config.model import Platform
from slipway.database.engine import engine
from slipway.resources.duckdb import open_connection
from slipway.resources.lake import attach, metadata_schema

TRIGGER = "slipway_lake_commit"


def ensure_lake(platform: Platform, location: str, env: Mapping[str, str], url: str) -> None:
    """Create the location's catalogue if it has none, and put the ledger's trigger on its snapshots."""
    with closing(open_connection(env)) as connection:
        attach(connection, platform, location, env, create=True)
    schema = metadata_schema(location)
    with engine(url).begin() as ledger:
        there = ledger.execute(
            text(
                "SELECT 1 FROM pg_trigger WHERE tgname = :name"
                " AND tgrelid = to_regclass(:schema || '.ducklake_snapshot_changes')"
            ),
            {"name": TRIGGER, "schema": schema},
        ).scalar()
        if not there:
            # Only when it is missing: making it waits for every commit that goes on.
            ledger.execute(
                text(
                    f"CREATE TRIGGER {TRIGGER} AFTER INSERT ON {schema}.ducklake_snapshot_changes"
                    " FOR EACH ROW EXECUTE FUNCTION slipway_ledger.lake_commit()"
                )
            )
