"""Attaching a location's lake: DuckLake with its catalogue in Postgres and its data in S3.

Each code location has a catalogue of its own, in the Postgres schema `lake_<location>`, and a prefix of its
own in the lake's bucket. In DuckDB it is the database `<location>`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
from psycopg2.extensions import parse_dsn

from slipway.config.connections import S3Settings, postgres_url, s3_settings
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.resources.duckdb import identifier, literal

LOCK_SECONDS = 60
"""How long a local lake is waited for while another process has it open."""

_POSTGRES_SECRET_KEYS = {
    "host": "HOST",
    "port": "PORT",
    "dbname": "DATABASE",
    "user": "USER",
    "password": "PASSWORD",
    "sslmode": "SSLMODE",
}


def metadata_schema(location: str) -> str:
    """The Postgres schema that holds a location's catalogue."""
    return f"lake_{location}"


def data_path(platform: Platform, location: str) -> str:
    """The URL under which a location's data files are."""
    return f"s3://{platform.lake.bucket}/{platform.lake.prefix}{location}/"


def check_has_lake(platform: Platform, location: str) -> None:
    """Check that a location has no DuckDB file instead.

    Raises:
        UserError: it has one.
    """
    code = platform.code_locations.get(location)
    if code is not None and code.duckdb_file is not None:
        raise UserError(
            f"code location '{location}' has no lake: code_locations.{location}.duckdb_file gives it a DuckDB file instead",
            "its own runs open the file with DuckDBFileResource, and no other location's can; "
            "remove the key to give it a lake",
        )


def attach(
    connection: duckdb.DuckDBPyConnection,
    platform: Platform,
    location: str,
    env: Mapping[str, str] = os.environ,
    *,
    create: bool = False,
    read_only: bool = False,
) -> None:
    """Attach a location's lake as the database `<location>`; attached already, nothing happens.

    Args:
        connection: one of `slipway.resources.duckdb.open_connection`.
        platform: says where Postgres and the bucket are.
        location: name of the code location.
        env: where credentials and bundled addresses are looked up.
        create: make the catalogue when it does not exist, which is bootstrap's work.
        read_only: refuse writes to it.

    Raises:
        UserError: Postgres does not answer, refuses the credentials, or has no such catalogue. No message
            holds a credential.
    """
    url = postgres_url(platform, env)
    storage = s3_settings(platform, platform.lake.storage_ref, env)
    key_id, secret, token = credentials(storage)
    hidden = [value for value in (parse_dsn(url).get("password"), secret, token) if value]
    options = {
        "DATA_PATH": literal(data_path(platform, location)),
        "METADATA_SCHEMA": literal(metadata_schema(location)),
        "META_SECRET": literal("slipway_postgres"),
        "CREATE_IF_NOT_EXISTS": str(create).lower(),
    }
    if read_only:
        options["READ_ONLY"] = "true"
    clauses = ", ".join(f"{name} {value}" for name, value in options.items())
    try:
        connection.execute(postgres_secret(url))
        connection.execute(s3_secret(storage, f"s3://{platform.lake.bucket}", key_id, secret, token))
        connection.execute(f"ATTACH IF NOT EXISTS 'ducklake:postgres:' AS {identifier(location)} ({clauses})")
    except duckdb.Error as error:
        raise _refusal(location, redact(str(error), hidden)) from None


def attach_local(
    connection: duckdb.DuckDBPyConnection, folder: Path, location: str, *, read_only: bool = False
) -> None:
    """Attach a lake that needs no platform: catalogue and data in a folder, one process at a time.

    Raises:
        UserError: another process has kept it open for LOCK_SECONDS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = folder / f"{location}.ducklake"
    options = "READ_ONLY" if read_only else f"DATA_PATH {literal(str(folder / location) + '/')}"
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            connection.execute(
                f"ATTACH IF NOT EXISTS {literal(f'ducklake:{catalogue}')} AS {identifier(location)} ({options})"
            )
        except duckdb.IOException as error:
            if "lock" not in str(error):
                raise
            if time.monotonic() > deadline:
                raise UserError(
                    f"{catalogue}: another process has had it open for {LOCK_SECONDS} s",
                    "a lake without a platform is one file: close what reads it, or start the platform",
                ) from None
            time.sleep(0.2)
        else:
            return


def postgres_secret(url: str) -> str:
    """The statement that tells DuckDB a Postgres URL without putting it in any ATTACH."""
    parts = parse_dsn(url)
    pairs = [f"{key} {literal(parts[name])}" for name, key in _POSTGRES_SECRET_KEYS.items() if name in parts]
    return f"CREATE OR REPLACE TEMPORARY SECRET slipway_postgres ({', '.join(['TYPE postgres', *pairs])})"


def s3_secret(storage: S3Settings, scope: str, key_id: str, secret: str, token: str | None) -> str:
    """The statement that gives DuckDB the credentials for the URLs that begin with `scope`."""
    pairs = {
        "KEY_ID": key_id,
        "SECRET": secret,
        "REGION": storage.region,
        "URL_STYLE": "path" if storage.path_style else "vhost",
        "SCOPE": scope,
    }
    if token:
        pairs["SESSION_TOKEN"] = token
    use_ssl = "true"
    if storage.endpoint:
        endpoint = urlsplit(storage.endpoint)
        pairs["ENDPOINT"] = endpoint.netloc + endpoint.path.rstrip("/")
        use_ssl = str(endpoint.scheme == "https").lower()
    clauses = ", ".join(f"{name} {literal(value)}" for name, value in pairs.items())
    return f"CREATE OR REPLACE TEMPORARY SECRET slipway_lake (TYPE s3, USE_SSL {use_ssl}, {clauses})"


def credentials(storage: S3Settings) -> tuple[str, str, str | None]:
    """Access key, secret and session token: those given, else the ambient ones as botocore finds them.

    Raises:
        UserError: none are given and none are ambient.
    """
    if storage.access_key_id and storage.secret_access_key:
        return storage.access_key_id, storage.secret_access_key, None
    import botocore.session  # not before: most storages name their credentials

    ambient = botocore.session.get_session().get_credentials()
    if ambient is None:
        raise UserError(
            "no S3 credentials: platform.yaml gives none, and the machine has no AWS role, profile or variables",
            "give access_key_id and secret_access_key in platform.yaml's storage section, or a role",
        )
    frozen = ambient.get_frozen_credentials()
    return str(frozen.access_key), str(frozen.secret_key), frozen.token


def redact(text: str, secrets: list[str]) -> str:
    """The text without the secrets."""
    for secret in secrets:
        text = text.replace(secret, "***").replace(secret.replace("'", "''"), "***")
    return text


def _refusal(location: str, reason: str) -> UserError:
    reason = " ".join(reason.split())
    if "creating a new DuckLake is explicitly disabled" in reason:
        return UserError(
            f"the lake of {location} has no catalogue yet",
            "run `slipway bootstrap`, and look that the location stands in platform.yaml's code_locations",
        )
    return UserError(
        f"the lake of {location} cannot be attached: {reason}",
        "look that Postgres runs and that platform.yaml's postgres section names its host, user and password",
    )
