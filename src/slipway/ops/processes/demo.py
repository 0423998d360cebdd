"""The demo: lands the sample's first days on a running platform and watches until they are tables."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from slipway.aws import s3_client
from slipway.config.connections import postgres_url, s3_settings
from slipway.config.errors import UserError
from slipway.config.model import Landing, Platform
from slipway.database.tables import SCHEMA, landing_object
from slipway.demo_data import land, make_sample
from slipway.demo_data.landing import arrivals
from slipway.ops.processes.laptop import Laptop
from slipway.resources.duckdb import open_connection
from slipway.resources.lake import attach, metadata_schema

LANDING = "jaffle_shop"
LOCATION = "ecommerce"
MART = f"{LOCATION}.marts.revenue_by_store_and_day"
DAYS = 31
"""What arrives in the first month: enough to see late, corrected and broken files, and soon done."""

DEADLINE_SECONDS = 240.0
"""Longest wait for the tables, counted from the first landed file."""

FINISHED_RUNS = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass(frozen=True)
class Progress:
    """How far the landed files have come."""

    landed: int = 0
    to_land: int = 0
    seen: int = 0
    """Object versions in the ledger."""
    keys_to_see: int = 0
    """Landed keys that are not in the ledger yet."""
    claimed: int = 0
    done: int = 0
    quarantined: int = 0
    runs_active: int = 0
    runs_done: int = 0
    runs_failed: int = 0
    rows: int = 0
    """Rows of all tables in the lake."""

    @property
    def settled(self) -> bool:
        """Whether everything that was landed has been dealt with and nothing runs any more."""
        all_seen = self.seen > 0 and self.keys_to_see == 0
        dealt_with = all_seen and self.done + self.quarantined == self.seen
        return self.landed == self.to_land > 0 and dealt_with and self.runs_active == 0 and self.runs_done > 0

    def line(self) -> str:
        """The progress in one line."""
        quarantined = f", {self.quarantined} quarantined" if self.quarantined else ""
        failed = f", {self.runs_failed} failed" if self.runs_failed else ""
        return (
            f"files: {self.landed}/{self.to_land} landed, {self.seen} seen, {self.claimed} claimed, "
            f"{self.done} done{quarantined} | runs: {self.runs_active} active, {self.runs_done} done{failed} "
            f"| rows: {self.rows}"
        )


class Sample:
    """The landing of the sample's first days, in a thread: an upload waits for the network, not for us."""

    def __init__(self, platform: Platform, env: dict[str, str], folder: Path) -> None:
        self.landed = 0
        self.to_land = 0
        files = make_sample(folder)
        self.keys = len({key for key, _ in arrivals(files, DAYS)})
        """Keys that are landed, some of them twice: a correction has the key of what it corrects."""
        self._failure: BaseException | None = None
        landing = landing_of(platform)
        client = s3_client(s3_settings(platform, landing.storage_ref, env))

        def run() -> None:
            try:
                land(client, landing.bucket, landing.prefix, files, days=DAYS, progress=self._note)
            except BaseException as failure:
                self._failure = failure

        threading.Thread(target=run, daemon=True).start()

    def check(self) -> None:
        """Raises what ended the landing early."""
        if self._failure is not None:
            raise self._failure

    def _note(self, _what: str, done: int, total: int) -> None:
        self.landed, self.to_land = done, total


def landing_of(platform: Platform) -> Landing:
    """The landing that the sample goes to.

    Raises:
        UserError: platform.yaml has no such landing or no location that reads it.
    """
    if LANDING not in platform.landing or LOCATION not in platform.code_locations:
        raise UserError(
            f"the demo needs landing.{LANDING} and code_locations.{LOCATION} in platform.yaml",
            "take them from the platform.yaml that Slipway brings, or start yours with `slipway up`",
        )
    return platform.landing[LANDING]


def making_command(folder: Path) -> list[str]:
    """The command line of a process that makes the sample's files."""
    return [sys.executable, "-m", "slipway.demo_data", str(folder)]


def watch(laptop: Laptop, sample: Sample, show: Callable[[Progress], None]) -> Progress:
    """Wait until the landed files are tables; the last progress.

    Raises:
        UserError: a run failed, or the deadline passed; the message says what is known.
        Ended: a signal came meanwhile.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    look_at = 0.0
    while True:
        laptop.keep()
        sample.check()
        if time.monotonic() < look_at:
            continue
        progress = observe(laptop, sample)
        show(progress)
        if progress.runs_failed:
            raise UserError(f"a run failed: {laptop.failure()}", f"its page: {laptop.url}/runs")
        if progress.settled:
            return progress
        if time.monotonic() > deadline:
            raise UserError(
                f"after {DEADLINE_SECONDS:.0f} s the landed files are not all tables: {progress.line()}",
                f"look into {laptop.state.logs}",
            )
        look_at = time.monotonic() + 0.5


def observe(laptop: Laptop, sample: Sample) -> Progress:
    """What ledger, runs and the lake's catalogue say now."""
    landed, to_land = sample.landed, sample.to_land
    connection = psycopg2.connect(postgres_url(laptop.platform, laptop.env))
    try:
        with connection, connection.cursor() as cursor:
            ledger = sql.Identifier(SCHEMA, landing_object.name)
            cursor.execute(
                sql.SQL("SELECT state, count(*) FROM {} WHERE landing = %s GROUP BY state").format(ledger),
                (LANDING,),
            )
            files = dict(cursor.fetchall())
            cursor.execute(
                sql.SQL("SELECT count(DISTINCT key) FROM {} WHERE landing = %s").format(ledger), (LANDING,)
            )
            seen = cursor.fetchone()
            cursor.execute(
                sql.SQL("SELECT coalesce(sum(record_count), 0) FROM {}.ducklake_table_stats").format(
                    sql.Identifier(metadata_schema(LOCATION))
                )
            )
            row = cursor.fetchone()
    finally:
        connection.close()
    runs = laptop.runs()
    return Progress(
        landed=landed,
        to_land=to_land,
        seen=sum(files.values()),
        keys_to_see=sample.keys - (seen[0] if seen else 0),
        claimed=files.get("claimed", 0),
        done=files.get("done", 0) + files.get("superseded", 0),
        quarantined=files.get("quarantined", 0),
        runs_active=sum(status not in FINISHED_RUNS for status in runs.values()),
        runs_done=sum(status == "SUCCESS" for status in runs.values()),
        runs_failed=sum(status == "FAILURE" for status in runs.values()),
        rows=int(row[0]) if row else 0,
    )


def mart(laptop: Laptop) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The mart's columns and rows, the latest day first."""
    with open_connection({}) as connection:
        attach(connection, laptop.platform, LOCATION, laptop.env, read_only=True)
        result = connection.execute(f"SELECT * FROM {MART} ORDER BY day DESC, store")  # noqa: S608 - our own name
        return [column[0] for column in result.description], result.fetchall()
