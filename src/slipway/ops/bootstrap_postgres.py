"""Bootstrap's work on Postgres: waiting for it, and Dagster's own tables."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import psycopg2
import psycopg2.errors
from alembic.util import CommandError
from dagster import DagsterInstance
from sqlalchemy.exc import DBAPIError

from slipway.config.errors import UserError
from slipway.config.model import Platform

BETWEEN_TRIES_SECONDS = 0.5


def wait_for_postgres(platform: Platform, url: str, wait_seconds: float) -> None:
    """Return when Postgres lets us in.

    Raises UserError when it does not answer in time, or at once when it refuses user, password or database.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            psycopg2.connect(url, connect_timeout=5).close()
        except psycopg2.OperationalError as error:
            said = str(error).strip()
            if refusal := _refusal(platform, url, said):
                raise refusal from None
            if time.monotonic() >= deadline:
                raise UserError(
                    f"Postgres at {_address(url)} does not answer: {_last_line(said)}", _where_it_is(platform)
                ) from None
            time.sleep(BETWEEN_TRIES_SECONDS)
        else:
            return


def _refusal(platform: Platform, url: str, said: str) -> UserError | None:
    """What Postgres says when waiting does not help."""
    bundled = platform.postgres.is_bundled
    for pattern, key in (
        (r"password authentication failed|no password supplied", "postgres.user and postgres.password"),
        (r'role "[^"]*" (does not exist|is not permitted)', "postgres.user"),
        (r'database "[^"]*" does not exist', "postgres.database"),
        (r"no pg_hba.conf entry|permission denied for database", "postgres.user and postgres.sslmode"),
    ):
        if re.search(pattern, said):
            where = "SLIPWAY_POSTGRES_URL" if bundled else f"{key} in platform.yaml"
            return UserError(f"Postgres at {_address(url)} refuses: {_last_line(said)}", f"check {where}")
    return None


def _where_it_is(platform: Platform) -> str:
    if platform.postgres.is_bundled:
        return "it is the bundled Postgres, at SLIPWAY_POSTGRES_URL; look at the log of the service postgres"
    return (
        "check postgres.host and postgres.port in platform.yaml, and whether that server lets this machine in"
    )


def _address(url: str) -> str:
    """Host and port, without the password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}"


def _first_line(said: str) -> str:
    return said.strip().splitlines()[0] if said.strip() else "no reason given"


def _last_line(said: str) -> str:
    return said.splitlines()[-1].strip() if said else "no reason given"


def dagster_schema(env: Mapping[str, str]) -> bool:
    """Create or migrate the tables of the instance in DAGSTER_HOME; False when they are a newer Dagster's, and stay.

    Raises UserError when DAGSTER_HOME is not set: Dagster would then use a throw-away instance.
    """
    with platform_instance(env) as instance:
        try:
            instance.upgrade()
        except CommandError as error:
            if "Can't locate revision" not in str(error):
                raise
            return False
    return True


def refusal(platform: Platform, url: str, error: DBAPIError) -> UserError | None:
    """What a statement's failure means for whoever runs the platform; None for what is no fault of theirs."""
    said = _first_line(str(error.orig))
    if isinstance(error.orig, psycopg2.errors.InsufficientPrivilege):
        user, database = urlsplit(url).username, urlsplit(url).path.removeprefix("/")
        return UserError(
            f"Postgres at {_address(url)} lets {user} do too little: {said}",
            f"the user of postgres.user makes schemas and tables: GRANT CREATE ON DATABASE {database} TO {user}; "
            f"GRANT CREATE ON SCHEMA public TO {user}; or make {user} the owner of {database}",
        )
    if isinstance(error.orig, psycopg2.OperationalError):
        return UserError(
            f"Postgres at {_address(url)} went away: {said}",
            f"run it again: what is done stays done; {_where_it_is(platform)}",
        )
    return None


def platform_instance(env: Mapping[str, str]) -> DagsterInstance:
    """The instance in DAGSTER_HOME.

    Raises UserError when DAGSTER_HOME is not set: Dagster would then use a throw-away instance.
    """
    if not env.get("DAGSTER_HOME"):
        raise UserError("DAGSTER_HOME is not set", "set it to the folder of the platform's dagster.yaml")
    return DagsterInstance.from_config(env["DAGSTER_HOME"])
