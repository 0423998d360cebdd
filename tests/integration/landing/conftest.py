from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from slipway import identity
from slipway.aws import s3_client
from slipway.config.connections import s3_settings as settings_of
from slipway.database import upgrade
from slipway.database.engine import engine
from slipway.ops.bootstrap_lake import ensure_lake
from slipway.resources import LakeResource


@pytest.fixture
def database(postgres_url: str) -> Iterator[Engine]:
    """A database with an empty ledger."""
    found = engine(postgres_url)
    with found.begin() as connection:
        upgrade(connection)
    yield found
    found.dispose()


@pytest.fixture
def lake(platform, platform_env, database, monkeypatch) -> LakeResource:
    """The lake of `shop`, with the ledger's trigger, and the environment of its runs."""
    url = platform_env["SLIPWAY_POSTGRES_URL"]
    platform_env |= {
        "SLIPWAY_PLATFORM_JSON": platform.model_dump_json(by_alias=True, exclude_unset=True),
        "SLIPWAY_LOCATION": "shop",
    }
    for name, value in platform_env.items():
        monkeypatch.setenv(name, value)
    s3 = s3_client(settings_of(platform, "default", platform_env))
    s3.create_bucket(Bucket=platform.lake.bucket)
    with database.begin() as connection:
        identity.create(connection, s3, platform)
    ensure_lake(platform, "shop", platform_env, url)
    found = LakeResource()
    with found.connect() as connection:
        connection.execute("CREATE SCHEMA raw; CREATE TABLE raw.orders (file VARCHAR, id INTEGER)")
    return found
