"""A file that lands, and what becomes of it: seen by the ledger, claimed, in a run, in a table."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import PurePosixPath

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus
from sqlalchemy import Engine, text

from slipway.config.connections import postgres_url
from slipway.config.kubernetes import SmokeTest
from slipway.config.model import Platform
from slipway.database.engine import engine
from slipway.landing import inspect, outcome
from slipway.landing.inspect import Version
from slipway.ops.bootstrap_storage import storage_client
from slipway.ops.smoke import where
from slipway.ops.smoke.checks import Failed
from slipway.ops.workspace import server_name
from slipway.resources.duckdb import literal, open_connection
from slipway.resources.lake import attach, metadata_schema

LOOK_SECONDS = 1.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Arrival:
    """What became of the file."""

    key: str
    batch: str
    run_id: str
    rows: int | None
    """Rows of the table that its commit wrote; None where no table was named."""


@dataclass(frozen=True)
class Stage:
    """How far it is."""

    said: str
    hint: str
    """What to look at when it goes no further."""
    batch: str | None = None
    run_id: str | None = None
    over: bool = False


def key_and_content(test: SmokeTest, prefix: str, id: str) -> tuple[str, str]:
    """The object's key and text: no two tests have the same key."""
    key = test.key
    if "{id}" not in key:
        path = PurePosixPath(key)
        name, dot, endings = path.name.partition(".")
        key = str(path.with_name(f"{name}-{{id}}{dot}{endings}"))
    return prefix + key.replace("{id}", id), test.content.replace("{id}", id)


def land(platform: Platform, env: Mapping[str, str], test: SmokeTest) -> str:
    """Put the file into its landing; its key."""
    landing = platform.landing[test.landing]
    key, content = key_and_content(test, landing.prefix, uuid.uuid4().hex[:12])
    try:
        storage_client(platform, landing.storage_ref, env).put_object(
            Bucket=landing.bucket, Key=key, Body=content.encode()
        )
    except (BotoCoreError, ClientError) as error:
        raise Failed(
            f"nothing can be put into s3://{landing.bucket}: {error}",
            f"check landing.{test.landing}.bucket and what the credentials of storage.{landing.storage_ref} may do",
        ) from error
    return key


def follow(
    platform: Platform,
    instance: DagsterInstance,
    env: Mapping[str, str],
    test: SmokeTest,
    key: str,
    report: Report,
    deadline: float,
) -> Arrival:
    """Wait until the file's run is over and its rows are committed.

    Raises:
        Failed: it was quarantined, its run failed for good, or the deadline came.
    """
    database = engine(postgres_url(platform, env))
    said = ""
    for stage in _stages(platform, database, instance, env, test, key):
        if stage.said != said:
            report(stage.said)
            said = stage.said
        if stage.over and stage.batch and stage.run_id:
            rows = None if test.table is None else rows_of(platform, env, database, test, stage.batch)
            return Arrival(key, stage.batch, stage.run_id, rows)
        if time.monotonic() > deadline:
            raise Failed(f"it goes no further: {stage.said}", stage.hint)
        time.sleep(LOOK_SECONDS)
    raise AssertionError("stages never end by themselves")


def _stages(
    platform: Platform,
    database: Engine,
    instance: DagsterInstance,
    env: Mapping[str, str],
    test: SmokeTest,
    key: str,
) -> Iterator[Stage]:
    bucket = platform.landing[test.landing].bucket
    while True:
        with database.connect() as connection:
            versions = inspect.find(connection, key, test.landing)
            found = versions[0] if versions else None
            batch = None
            if found is not None and found.batch_id is not None:
                batch = inspect.history(connection, found.batch_id)[0]
        daemon = where.log_of("daemon", env)
        if found is None:
            yield Stage(f"s3://{bucket}/{key} has landed, and the daemon has not noticed it yet", daemon)
        elif found.state == "quarantined":
            raise Failed(f"it is in quarantine: {found.error}", f"slipway landing errors {test.landing}")
        elif batch is None:
            yield Stage(
                f"the ledger has it ({found.state}), and no sensor has claimed it yet",
                f"whether a sensor of {test.location} is on for the landing {test.landing}: "
                f"{where.log_of(server_name(test.location), env)}; {daemon}",
            )
        else:
            runs = outcome.runs_of(instance, [batch])[batch.id]
            if not runs:
                yield Stage(f"batch {batch.id} has it, and its run is not queued yet", daemon, batch.id)
            else:
                yield _in_run(instance, env, test, found, batch.id, runs[0].dagster_run.run_id)


def _in_run(
    instance: DagsterInstance,
    env: Mapping[str, str],
    test: SmokeTest,
    found: Version,
    batch: str,
    run_id: str,
) -> Stage:
    run = instance.get_run_by_id(run_id)
    status = run.status if run is not None else DagsterRunStatus.NOT_STARTED
    look = where.run(run_id, env)
    if run is not None and run.remote_job_origin is not None:
        location = run.remote_job_origin.location_name
        if location != test.location:
            raise Failed(
                f"the code location {location} took it in, not {test.location}",
                "correct kubernetes.test.location, or the landing of its sensor",
            )
    if status == DagsterRunStatus.SUCCESS and found.state == "done":
        return Stage(f"run {run_id} has committed it, and is over", look, batch, run_id, over=True)
    if status == DagsterRunStatus.QUEUED:
        look = where.log_of("daemon", env)
    if status == DagsterRunStatus.FAILURE and found.state == "done":
        raise Failed(f"run {run_id} committed the file and failed then: {_reason(instance, run_id)}", look)
    said = f"run {run_id} is {status.value.lower()}"
    if status == DagsterRunStatus.FAILURE:
        said += f", and may be tried again: {_reason(instance, run_id)}"
    elif found.state == "done":
        said += ", and has committed it"
    return Stage(said, look, batch, run_id)


def _reason(instance: DagsterInstance, run_id: str) -> str:
    events = instance.all_logs(run_id, of_type={DagsterEventType.RUN_FAILURE, DagsterEventType.STEP_FAILURE})
    for entry in events:
        data = entry.dagster_event.event_specific_data if entry.dagster_event else None
        error = getattr(data, "error", None)
        if error is not None:
            cause = error.cause or error
            return " ".join(str(cause.message).split())[:500]
    return events[-1].user_message if events else "no reason given"


def rows_of(platform: Platform, env: Mapping[str, str], database: Engine, test: SmokeTest, batch: str) -> int:
    """How many rows of the table the batch's own commit wrote.

    Raises:
        Failed: no commit bears its claim, or none of the table's rows is that commit's.
    """
    assert test.table is not None
    schema, _, table = test.table.partition(".")
    look = f"what the asset of {test.location} does: `with lake.transaction(claim=batch)` is the commit that is looked for"
    with database.connect() as connection:
        snapshots = connection.execute(
            text(
                f"SELECT max(snapshot_id) FROM {metadata_schema(test.location)}.ducklake_snapshot_changes"  # noqa: S608
                " WHERE commit_extra_info LIKE '%' || :batch || '%'"
            ),
            {"batch": batch},
        ).scalar()
    if snapshots is None:
        raise Failed(f"no commit to the lake of {test.location} bears the claim {batch}", look)
    with closing(open_connection(env)) as lake:
        attach(lake, platform, test.location, env, read_only=True)
        known = lake.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_catalog = ? AND table_schema = ? AND table_name = ?",
            [test.location, schema, table],
        ).fetchone()
        if known is None or known[0] == 0:
            raise Failed(
                f"the lake of {test.location} has no table {test.table}", "correct kubernetes.test.table"
            )
        row = lake.execute(
            f"SELECT count(*) FROM ducklake_table_insertions({literal(test.location)}, {literal(schema)},"  # noqa: S608
            f" {literal(table)}, {snapshots}, {snapshots})"
        ).fetchone()
    count = int(row[0]) if row else 0
    if count == 0:
        raise Failed(
            f"the commit of batch {batch} wrote no row of {test.location}.{test.table}",
            f"correct kubernetes.test.table or content in platform.yaml; else {look}",
        )
    return count
