"""Pooled connections to the instance's Postgres, shared by everything in a process."""

from __future__ import annotations

import os
from functools import cache

import sqlalchemy

KEPT_CONNECTIONS = 2
"""Idle connections that a process keeps; more are opened as needed and closed after use."""

CONNECT_TIMEOUT = 10
"""Seconds that one attempt to connect may take."""


@cache
def engine(url: str, statement_timeout: int | None = None, recycle: int = 3600) -> sqlalchemy.Engine:
    """The engine of a database: one per process, however many instances are loaded in it.

    A connection is tried before it is handed out, so a restart of Postgres between two operations goes unnoticed.

    Args:
        url: the database, as postgresql://user:password@host:port/name.
        statement_timeout: milliseconds after which Postgres ends a statement.
        recycle: seconds after which a connection is replaced.
    """
    pooled = sqlalchemy.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=KEPT_CONNECTIONS,
        max_overflow=-1,
        pool_pre_ping=True,
        pool_recycle=recycle,
        connect_args={"connect_timeout": CONNECT_TIMEOUT, "application_name": "slipway"},
    )
    if statement_timeout is not None:

        @sqlalchemy.event.listens_for(pooled, "connect")
        def _limit(connection: object, record: object) -> None:
            with connection, connection.cursor() as cursor:  # type: ignore[attr-defined]
                cursor.execute(f"SET statement_timeout = {int(statement_timeout)}")

    # Two processes on one socket would read each other's answers.
    os.register_at_fork(after_in_child=lambda: pooled.dispose(close=False))
    return pooled
