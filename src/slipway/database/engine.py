"""Connections to the platform's Postgres."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import Engine, create_engine


@lru_cache(maxsize=8)
def engine(url: str) -> Engine:
    """One small pool per process and database; idle connections are checked before use."""
    return create_engine(
        url, pool_size=2, max_overflow=4, pool_pre_ping=True, connect_args={"connect_timeout": 5}
    )
