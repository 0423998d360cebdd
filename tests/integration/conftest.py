"""A Postgres and an S3 per session, and per test an empty database, an empty bucket and a platform on them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from slipway.aws import s3_client
from slipway.config.connections import S3Settings
from slipway.config.loader import parse
from slipway.config.model import Platform
from slipway.embedded.postgres import EmbeddedPostgres
from slipway.embedded.s3 import EmbeddedS3


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedS3]:
    with EmbeddedS3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh database, dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    connection = psycopg2.connect(postgres_server.url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
            yield postgres_server.url.removesuffix("/slipway") + f"/{name}"
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        connection.close()


@pytest.fixture
def s3_settings(s3_server: EmbeddedS3) -> S3Settings:
    return S3Settings(
        endpoint=s3_server.endpoint,
        public_endpoint=s3_server.endpoint,
        region="us-east-1",
        path_style=True,
        access_key_id=s3_server.access_key_id,
        secret_access_key=s3_server.secret_access_key,
    )


@pytest.fixture
def bucket(s3_settings: S3Settings) -> str:
    """Name of a fresh, empty bucket."""
    name = f"test-{uuid.uuid4().hex}"
    s3_client(s3_settings).create_bucket(Bucket=name)
    return name


@pytest.fixture
def platform_env(postgres_url: str, s3_settings: S3Settings, tmp_path: Path) -> dict[str, str]:
    """The environment that a runtime gives to its services, with this test's own database."""
    assert s3_settings.endpoint is not None
    assert s3_settings.access_key_id is not None
    assert s3_settings.secret_access_key is not None
    return {
        **os.environ,
        "SLIPWAY_RUNTIME": "process",
        "SLIPWAY_STATE": str(tmp_path / "state"),
        "SLIPWAY_POSTGRES_URL": postgres_url,
        "SLIPWAY_S3_ENDPOINT": s3_settings.endpoint,
        "SLIPWAY_S3_PUBLIC_ENDPOINT": s3_settings.endpoint,
        "SLIPWAY_S3_ACCESS_KEY_ID": s3_settings.access_key_id,
        "SLIPWAY_S3_SECRET_ACCESS_KEY": s3_settings.secret_access_key,
    }


@pytest.fixture
def platform() -> Platform:
    """A platform on the bundled services, with buckets that no other test has."""
    unique = uuid.uuid4().hex
    return parse(
        f"""
observability:
  compute_logs: {{bucket: logs-{unique}, upload_interval: 1}}
lake: {{bucket: lake-{unique}}}
landing:
  inbox: {{bucket: landing-{unique}, mode: events}}
code_locations:
  shop:
    path: code_locations/shop
    image: {{repository: slipway/shop, tag: test}}
""",
        "platform.yaml",
    )
