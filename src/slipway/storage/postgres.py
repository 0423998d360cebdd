"""Dagster's Postgres storage at the address that platform.yaml gives: the class that dagster.yaml names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg2.errors
import sqlalchemy
from dagster import EventLogEntry, RunsFilter
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.schema import ConcurrencyLimitsTable
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from dagster_postgres.utils import DagsterPostgresException, retry_pg_connection_fn

from slipway import config
from slipway.config.connections import postgres_url
from slipway.config.errors import UserError
from slipway.config.presence import development_folder, is_development
from slipway.memory import exhaustion, kernel
from slipway.storage.engine import engine
from slipway.storage.out_of_memory import Witness, witnessed
from slipway.storage.run_metadata import annotate

CORE_TABLES = frozenset({"event_logs", "instance_info", "jobs", "runs"})
"""Where these are, Dagster's three storages have made their tables."""

CREATION_LOCK = 0x511B_0003
"""Key of the advisory lock under which they are made."""


class _Pooled:
    """Replaces the engine of a Dagster storage, which opens a connection for each operation."""

    postgres_url: str
    _engine: sqlalchemy.Engine

    def __init__(self, url: str, should_autocreate_tables: bool) -> None:
        super().__init__(url, should_autocreate_tables)  # type: ignore[call-arg]
        self._engine = engine(url)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """End statements after so many milliseconds; the pool is there already, and without a maximum."""
        self._engine = engine(self.postgres_url, statement_timeout, pool_recycle)


class SlipwayRunStorage(_Pooled, PostgresRunStorage):
    """Runs and daemon heartbeats."""

    def add_run_tags(self, run_id: str, new_tags: Mapping[str, str]) -> None:
        """Add tags. Dagster's verdict on a retry, which it gives at each failure, is ours after one for want of memory."""
        if exhaustion.WILL_RETRY_TAG in new_tags and exhaustion.STATE_TAG not in new_tags:
            for run in self.get_runs(RunsFilter(run_ids=[run_id])):
                ours = exhaustion.will_retry(run.tags, run_id)
                if ours is not None:
                    new_tags = {**new_tags, exhaustion.WILL_RETRY_TAG: str(ours).lower()}
        super().add_run_tags(run_id, new_tags)


class SlipwayScheduleStorage(_Pooled, PostgresScheduleStorage):
    """Sensors, schedules and their ticks."""


class SlipwayEventLogStorage(_Pooled, PostgresEventLogStorage):
    """Events, which carry what the launcher tells of their run."""

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event; a materialisation with the profile of its run, a failure with the want of memory."""
        super().store_event(self._complete(event))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events, completed in the same way."""
        super().store_event_batch([self._complete(event) for event in events])

    def _complete(self, event: EventLogEntry) -> EventLogEntry:
        return witnessed(annotate(event, os.environ), self._witness, lambda: self._instance)

    @cached_property
    def _witness(self) -> Witness | None:
        outlook = exhaustion.read(os.environ)
        if outlook is None:
            return None
        return Witness(outlook, kernel.own() if outlook.accounted else None)

    def initialize_concurrency_limit_to_default(self, concurrency_key: str) -> bool:
        """Give a pool the default limit, unless it has one of its own.

        Two runs that meet a new pool at once both try, and a default that has changed is given to pools that have the
        old one. Upstream means to update the row that is there, but in the transaction that its own failed insert
        has ended.
        """
        try:
            return super().initialize_concurrency_limit_to_default(concurrency_key)
        except sqlalchemy.exc.InternalError as error:
            if not isinstance(error.orig, psycopg2.errors.InFailedSqlTransaction):
                raise
        limit = self._instance.global_op_concurrency_default_limit
        if limit is not None:
            self._give_new_default(concurrency_key, limit)
        return True

    def _give_new_default(self, pool: str, limit: int) -> None:
        added: list[str] = []
        with self.index_transaction() as connection:
            changed = connection.execute(
                ConcurrencyLimitsTable.update()
                .values(limit=limit)
                .where(ConcurrencyLimitsTable.c.concurrency_key == pool)
                .where(ConcurrencyLimitsTable.c.using_default_limit)
                .where(ConcurrencyLimitsTable.c.limit != limit)
            )
            if changed.rowcount:
                added = self._allocate_concurrency_slots(connection, pool, limit)
        if added:
            self.assign_pending_steps(added)


class SlipwayStorage(DagsterPostgresStorage):
    """The instance's storage in the Postgres of platform.yaml, in every process that loads dagster.yaml."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        if _tables(postgres_url) >= CORE_TABLES:
            super().__init__(postgres_url, should_autocreate_tables=False, inst_data=inst_data)
        else:
            with _alone(postgres_url):
                super().__init__(postgres_url, should_autocreate_tables=True, inst_data=inst_data)
        self._run_storage = SlipwayRunStorage(postgres_url, False)
        self._event_log_storage = SlipwayEventLogStorage(postgres_url, False)
        self._schedule_storage = SlipwayScheduleStorage(postgres_url, False)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in dagster.yaml."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster takes any storage
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterStorage:
        """Made by Dagster when the instance is loaded; files of this machine under `dg dev`.

        Raises:
            UserError: platform.yaml is wrong, or its Postgres cannot be reached.
        """
        if is_development(os.environ):
            return DagsterSqliteStorage(str(development_folder(Path.cwd()) / "storage"), inst_data=inst_data)
        return cls(postgres_url(config.current()), inst_data=inst_data)


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Hold a lock of the database's: processes that make the tables at once would trip over each other's."""
    with engine(url).connect() as connection:
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(CREATION_LOCK)))
        try:
            yield
        finally:
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_unlock(CREATION_LOCK)))


def _tables(url: str) -> set[str]:
    """Names of the database's tables. Retries for some seconds: at a start, Postgres may be a little late."""
    try:
        return set(retry_pg_connection_fn(lambda: sqlalchemy.inspect(engine(url)).get_table_names()))
    except DagsterPostgresException as error:
        where = sqlalchemy.make_url(url)
        reason = str(getattr(error.__cause__, "orig", error.__cause__)).strip()
        raise UserError(
            f"cannot use Postgres at {where.host}:{where.port or 5432}, database '{where.database}', "
            f"user '{where.username}': {reason}",
            "start it, or correct the section `postgres` of platform.yaml and the variables it refers to",
        ) from None
