from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from slipway.landing import schema
from slipway.landing.database import engine


@pytest.fixture
def database(postgres_url: str) -> Iterator[Engine]:
    """A database with an empty ledger."""
    found = engine(postgres_url)
    with found.begin() as connection:
        schema.upgrade(connection)
    yield found
    found.dispose()
