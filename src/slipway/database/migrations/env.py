"""Alembic's way into the migrations: always on the connection that `upgrade` hands over."""

from __future__ import annotations

from alembic import context

from slipway.database.tables import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=SCHEMA,
    include_schemas=True,
)
context.run_migrations()
