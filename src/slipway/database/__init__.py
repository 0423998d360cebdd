"""The ledger's tables and their migrations, in a Postgres schema of their own."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from slipway.database.tables import SCHEMA

MIGRATIONS = Path(__file__).parent / "migrations"

_UPGRADE_LOCK = 0x511B_0001
"""Key of the advisory lock that lets one upgrade run at a time."""


class NewerSchema(Exception):
    """The tables are those of a newer version, which only adds to them: this one can work on them as they are."""

    def __init__(self, revision: str) -> None:
        super().__init__(f"revision {revision}, which this version does not know")
        self.revision = revision


def upgrade(connection: Connection) -> None:
    """Bring the schema to this version's form, in the connection's transaction. Safe twice at once.

    Raises:
        NewerSchema: it is past that, and stays as it is.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    present = _revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise NewerSchema(present)
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    table = f"{SCHEMA}.alembic_version"
    if connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
        return None
    found = connection.execute(text(f"SELECT version_num FROM {table}")).scalar()  # noqa: S608 - our own table
    return None if found is None else str(found)
