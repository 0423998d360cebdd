import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from slipway.config.connections import S3Settings
from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.resources import lake
from slipway.resources.duckdb import open_connection
from slipway.resources.lake import (
    attach,
    attach_local,
    data_path,
    metadata_schema,
    postgres_secret,
    s3_secret,
)

PLATFORM = parse("lake: {bucket: my-lake, prefix: warehouse/}\n", "platform.yaml")


def storage(**changes) -> S3Settings:
    values = {
        "endpoint": None,
        "public_endpoint": None,
        "region": "eu-central-1",
        "path_style": False,
        "access_key_id": "id",
        "secret_access_key": "sec'ret",
    }
    return S3Settings(**{**values, **changes})


def test_each_location_has_its_own_schema_and_prefix():
    assert metadata_schema("shop") == "lake_shop"
    assert data_path(PLATFORM, "shop") == "s3://my-lake/warehouse/shop/"


@pytest.mark.parametrize(
    ("endpoint", "path_style", "expected"),
    [
        (None, False, {"USE_SSL true", "URL_STYLE 'vhost'"}),
        ("http://localstack:4566", True, {"USE_SSL false", "URL_STYLE 'path'", "ENDPOINT 'localstack:4566'"}),
        ("https://s3.example.com/", True, {"USE_SSL true", "ENDPOINT 's3.example.com'"}),
    ],
)
def test_s3_secret_follows_the_storage(endpoint, path_style, expected):
    statement = s3_secret(
        storage(endpoint=endpoint, path_style=path_style), "s3://my-lake", "id", "sec'ret", None
    )
    clauses = set(statement.split("(", 1)[1].rstrip(")").split(", "))
    assert expected <= clauses
    assert {"SECRET 'sec''ret'", "SCOPE 's3://my-lake'", "REGION 'eu-central-1'"} <= clauses
    assert ("ENDPOINT" in statement) == (endpoint is not None)
    with open_connection({}) as connection:
        connection.execute(statement)


def test_ambient_credentials_carry_their_session(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ambient")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    found = lake.credentials(storage(access_key_id=None, secret_access_key=None))
    assert found == ("ambient", "s", "t")
    assert "SESSION_TOKEN 't'" in s3_secret(storage(), "s3://x", *found)


def test_postgres_secret_holds_all_parts_of_the_url():
    statement = postgres_secret("postgresql://u:p%27w%40@db.example:5433/slipway?sslmode=require")
    for clause in (
        "HOST 'db.example'",
        "PORT '5433'",
        "DATABASE 'slipway'",
        "USER 'u'",
        "PASSWORD 'p''w@'",
        "SSLMODE 'require'",
    ):
        assert clause in statement
    with open_connection({}) as connection:
        connection.execute(statement)
        (shown,) = connection.execute("SELECT secret_string FROM duckdb_secrets()").fetchone()
    assert "p'w@" not in shown


def test_postgres_that_is_not_there_is_said_without_credentials():
    env = {
        "SLIPWAY_POSTGRES_URL": "postgresql://u:topsecret@127.0.0.1:1/x",
        "SLIPWAY_S3_ENDPOINT": "http://127.0.0.1:1",
        "SLIPWAY_S3_ACCESS_KEY_ID": "id",
        "SLIPWAY_S3_SECRET_ACCESS_KEY": "hush",
    }
    with open_connection({}) as connection, pytest.raises(UserError) as raised:
        attach(connection, PLATFORM, "shop", env)
    assert "the lake of shop cannot be attached" in str(raised.value)
    assert "Connection refused" in str(raised.value)
    assert "topsecret" not in str(raised.value)
    assert "hush" not in str(raised.value)


def test_redact_finds_quoted_secrets_too():
    assert lake.redact("a sec'ret and 'sec''ret'", ["sec'ret"]) == "a *** and '***'"


def test_local_lake_waits_for_its_turn_and_then_says_who_has_it(tmp_path: Path, monkeypatch):
    hold = (
        "import sys, duckdb\n"
        "from pathlib import Path\n"
        "from slipway.resources.duckdb import open_connection\n"
        "from slipway.resources.lake import attach_local\n"
        "connection = open_connection()\n"
        "attach_local(connection, Path(sys.argv[1]), 'shop')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with open_connection({}) as connection:
            monkeypatch.setattr(lake, "LOCK_SECONDS", 0)
            with pytest.raises(UserError, match=r"shop\.ducklake: another process has had it open"):
                attach_local(connection, tmp_path, "shop")
            holder.communicate(timeout=30)
            monkeypatch.setattr(lake, "LOCK_SECONDS", 30)
            attach_local(connection, tmp_path, "shop")
            assert ("shop",) in connection.execute("SHOW DATABASES").fetchall()


def test_local_lakes_file_that_is_no_lake_is_no_lock(tmp_path: Path):
    (tmp_path / "shop.ducklake").write_text("something else, long enough to be looked at" * 100)
    with open_connection({}) as connection, pytest.raises(duckdb.Error):
        attach_local(connection, tmp_path, "shop")
