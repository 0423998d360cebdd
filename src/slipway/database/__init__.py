"""The ledger's tables and their migrations, in a Postgres schema of their own."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from slipway.database.tables import SCHEMA

MIGRATIONS = Path(__file__).parent / "migrations"

_UPGRADE_LOCK = 0x511B_0001
"""Key of the advisory lock that lets one upgrade run at a time."""


def upgrade(connection: Connection) -> None:
    """Bring the schema to this version's form, in the connection's transaction. Safe twice at once."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
