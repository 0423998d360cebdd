"""Makes everything that the platform stands on, or brings it up to date: safe to repeat, and twice at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from dagster import __version__ as DAGSTER
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from slipway import __version__, identity
from slipway.config.connections import postgres_url
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.database import NewerSchema, upgrade
from slipway.database.engine import engine
from slipway.landing import intake
from slipway.ops.bootstrap_lake import ensure_lake
from slipway.ops.bootstrap_pools import ensure_pools
from slipway.ops.bootstrap_postgres import dagster_schema, refusal, wait_for_postgres
from slipway.ops.bootstrap_storage import (
    ensure_buckets,
    ensure_log_retention,
    ensure_queues,
    storage_client,
    wait_for_storage,
)

Report = Callable[[str], None]

WAIT_SECONDS = 60.0
AS_THEY_ARE = "they stay as they are, and this version works on them (docs/upgrade.md)"
_LOCK = 0x511B_0002


def bootstrap(
    platform: Platform, env: Mapping[str, str], report: Report, wait_seconds: float = WAIT_SECONDS
) -> None:
    """Create and migrate what the platform needs, with one line of report for each step.

    Dagster's tables are those of the instance in this process's DAGSTER_HOME. Postgres and S3 are waited for up to
    wait_seconds each. Raises UserError when they do not answer or refuse, when an external bucket is missing, and
    when the storage is not the one that the catalogue and the ledger describe.
    """
    url = postgres_url(platform, env)
    wait_for_postgres(platform, url, wait_seconds)
    report("Postgres answers")
    with engine(url).connect() as lock:
        _one_at_a_time(lock, report)
        try:
            _steps(platform, env, url, report, wait_seconds)
        except DBAPIError as error:
            if (meaning := refusal(platform, url, error)) is None:
                raise
            raise meaning from error
        finally:
            _give_back(lock)
    report("The platform is ready")


def _one_at_a_time(lock: Connection, report: Report) -> None:
    # The lock of a process whose machine is gone is given back within two minutes, not two hours.
    for setting, seconds in (("idle", 60), ("interval", 15), ("count", 4)):
        lock.execute(text(f"SET tcp_keepalives_{setting} = {seconds}"))
    if not lock.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}).scalar():
        report("Another bootstrap is at work; waiting for it")
        lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
    lock.commit()


def _give_back(lock: Connection) -> None:
    with suppress(OperationalError):  # then it is given back already
        lock.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
        lock.commit()


def _steps(platform: Platform, env: Mapping[str, str], url: str, report: Report, wait_seconds: float) -> None:
    if dagster_schema(env):
        report("Dagster's tables are up to date")
    else:
        report(f"warning: Dagster's tables are those of a newer Dagster than this {DAGSTER}; {AS_THEY_ARE}")
    try:
        with engine(url).begin() as connection:
            upgrade(connection)
        report("The ledger's tables are up to date")
    except NewerSchema as error:
        report(
            f"warning: the ledger's tables are those of a newer Slipway than this {__version__} ({error}); {AS_THEY_ARE}"
        )

    wait_for_storage(platform, env, wait_seconds)
    report("S3 answers")
    with engine(url).connect() as connection:
        known = identity.recorded(connection)
    if known is not None:
        # Before any bucket is made: an emptied storage must be noticed, not furnished.
        identity.check(platform, env)
        report("The storage is the one that the catalogue describes")
    for line in ensure_buckets(platform, env):
        report(line)
    if known is None:
        known = _first_identity(platform, env, url)
        report("The storage has its identity")
    _adopt_restored(platform, env, url, report)
    for line in ensure_log_retention(platform, env):
        report(line)
    for line in ensure_queues(platform, env, known):
        report(line)
    for line in ensure_pools(platform, env):
        report(line)
    for location, code in platform.code_locations.items():
        if code.duckdb_file is None:
            ensure_lake(platform, location, env, url)
            report(f"The lake of {location} has its catalogue")
        else:
            report(f"The DuckDB file of {location} has its pool, with a limit of one")


def _first_identity(platform: Platform, env: Mapping[str, str], url: str) -> str:
    s3 = storage_client(platform, platform.lake.storage_ref, env)
    if (foreign := identity.stored(s3, platform)) is not None:
        raise UserError(
            f"s3://{platform.lake.bucket}/{identity.object_key(platform)} says that this storage belongs to another "
            f"platform ({foreign}), and the database is new",
            "restore the database that belongs to it, or give lake.bucket or lake.prefix in platform.yaml a place of "
            "its own; if the other platform is no more, `slipway storage reset --yes` takes the storage over",
        )
    with engine(url).begin() as connection:
        return identity.create(connection, s3, platform)


def _adopt_restored(platform: Platform, env: Mapping[str, str], url: str, report: Report) -> None:
    s3 = storage_client(platform, platform.lake.storage_ref, env)
    count = intake.adopt_restored(engine(url), s3, platform.lake.bucket, identity.restored_key(platform))
    if count:
        report(f"{count} restored objects are known to the ledger by their new versions")


def reset(platform: Platform, env: Mapping[str, str], report: Report) -> None:
    """Give up what the catalogue and the ledger describe: drop the lakes' catalogues, empty the ledger, and give
    database and bucket a new identity. Files in S3 stay; the next bootstrap begins anew on them.

    Raises UserError when Postgres or S3 does not answer.
    """
    url = postgres_url(platform, env)
    wait_for_postgres(platform, url, 5)
    wait_for_storage(platform, env, 5)
    for line in ensure_buckets(platform, env):
        report(line)
    s3 = storage_client(platform, platform.lake.storage_ref, env)
    with engine(url).begin() as connection:
        try:
            upgrade(connection)
        except NewerSchema as error:
            raise UserError(
                f"the ledger's tables are those of a newer Slipway than this {__version__} ({error})",
                "reset the storage with the version that made them",
            ) from None
        for name in lake_schemas(connection):
            connection.execute(text(f'DROP SCHEMA "{name}" CASCADE'))
            report(f"Dropped the catalogue {name}")
        connection.execute(
            text(
                "TRUNCATE slipway_ledger.landing_object, slipway_ledger.landing_batch, slipway_ledger.landing_listing"
            )
        )
        report("Emptied the ledger")
        identity.create(connection, s3, platform)
        report("The storage has a new identity")


def lake_schemas(connection: Connection) -> list[str]:
    """The Postgres schemas that hold a lake's catalogue."""
    rows = connection.execute(
        text(
            "SELECT table_schema FROM information_schema.tables"
            " WHERE table_name = 'ducklake_metadata' AND table_schema LIKE 'lake\\_%' ORDER BY 1"
        )
    )
    return [row.table_schema for row in rows]
