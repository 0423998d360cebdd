"""The sensor of a landing: a tick reads the ledger and Dagster's runs, never S3.

It settles the batches whose runs have ended, and asks for runs of those that have none. The run key is the batch,
so asking again is harmless.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from logging import Logger
from typing import TYPE_CHECKING

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    JobDefinition,
    RunRecord,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
)
from dagster import sensor as dagster_sensor
from sqlalchemy import Engine

from slipway import config
from slipway.config.connections import postgres_url
from slipway.config.presence import on_platform
from slipway.database.engine import engine
from slipway.landing import ledger
from slipway.landing.consumer import serve
from slipway.landing.isolation import verdict
from slipway.landing.outcome import Progress, failure, progress, runs_of
from slipway.landing.resource import MAX_BYTES, MAX_FILES
from slipway.landing.tags import BATCH_TAG, LANDING_TAG

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

MAX_RETRIES_TAG = "dagster/max_retries"
RETRY_TAGS = {MAX_RETRIES_TAG: "1", "dagster/retry_on_asset_or_op_failure": "false"}
"""A run whose worker was killed is repeated once by Dagster, which goes on with what had not succeeded: also when the
files were committed already and the assets downstream were not reached. A step that failed is the ledger's business."""

TICK_SECONDS = 1
"""Least time between ticks. A tick with nothing to do is two small queries."""


@dataclass(frozen=True)
class Limits:
    """How much a batch holds, and how many batches of a landing are processed at once."""

    max_files: int
    max_bytes: int
    batches: int


def landing_sensor(
    landing: str,
    *,
    job: JobDefinition | UnresolvedAssetJobDefinition,
    name: str | None = None,
    max_files: int = MAX_FILES,
    max_bytes: int = MAX_BYTES,
    batches: int = 1,
) -> SensorDefinition:
    """A sensor that starts the job for the files that arrive in a landing of platform.yaml.

    A batch holds at most max_files, and at most max_bytes unless one file alone is larger; it must fit the scratch
    of the run. So many `batches` are processed at once: what arrives meanwhile makes the next one. More than one is
    for jobs that only append; runs that delete and insert in one table get in each other's way in a lake.
    """
    limits = Limits(max_files, max_bytes, batches)
    tags = {key: value for key, value in RETRY_TAGS.items() if MAX_RETRIES_TAG not in (job.tags or {})}

    sensor_name = name or f"{landing}_landing"

    @dagster_sensor(
        name=sensor_name,
        job=job,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Starts {job.name} for the files that arrive in the landing {landing}.",
    )
    def evaluate(context: SensorEvaluationContext) -> list[RunRequest] | SkipReason:
        if not on_platform(os.environ):
            return SkipReason("No platform: Dagster runs alone here, and no landing is watched")
        platform = config.current()
        if landing not in platform.landing:
            return SkipReason(
                f"platform.yaml has no landing named {landing}; it has: {', '.join(platform.landing)}"
            )
        database = engine(postgres_url(platform))
        me = f"{os.environ.get('SLIPWAY_LOCATION', '')}:{sensor_name}"
        with database.begin() as connection:
            serving = serve(connection, landing, me)
        if serving != me:
            return SkipReason(
                f"The sensor {serving} serves the landing {landing}, and a file goes to one job only: let that job do "
                "this one's work too. If that sensor is gone or turned off, this one takes over within two minutes"
            )
        return tick(database, context.instance, landing, limits, context.log, tags)

    return evaluate


def tick(
    database: Engine,
    instance: DagsterInstance,
    landing: str,
    limits: Limits,
    log: Logger,
    tags: Mapping[str, str] = RETRY_TAGS,
) -> list[RunRequest] | SkipReason:
    """One look at the ledger: settle what has ended, then ask for runs with these tags, or say why not."""
    with database.connect() as connection:
        if reason := ledger.halted(connection):
            return SkipReason(f"The landing stands still: {reason}")
        batches = ledger.open_batches(connection, landing)
    runs = runs_of(instance, batches)
    for batch in batches:
        settle(database, instance, batch, runs[batch.id], log)

    with database.begin() as connection:
        going, waiting = [], []
        for batch in ledger.open_batches(connection, landing):
            # One that was claimed by hand since the first look has a run which that look did not find.
            if runs.get(batch.id) or (batch.opened and batch.id not in runs):
                going.append(batch)
            elif batch.due:
                waiting.append(batch)
        while len(going) + len(waiting) < limits.batches:
            fresh = ledger.claim(connection, landing, max_files=limits.max_files, max_bytes=limits.max_bytes)
            if fresh is None:
                break
            waiting.append(fresh)
            log.info(f"Claimed {fresh.files} files ({fresh.bytes} bytes) as batch {fresh.id}")
    wanted = waiting[: max(0, limits.batches - len(going))]
    if not wanted:
        return SkipReason(f"{len(going)} batches go on" if going else f"Nothing new in {landing}")
    return [
        RunRequest(
            run_key=batch.id,
            tags={
                **tags,
                LANDING_TAG: landing,
                BATCH_TAG: batch.id,
                "slipway/files": str(batch.files),
            },
        )
        for batch in wanted
    ]


def settle(
    database: Engine, instance: DagsterInstance, batch: ledger.OpenBatch, runs: list[RunRecord], log: Logger
) -> None:
    """Do what is to be done about a batch whose runs have ended."""
    standing = progress(runs, time.time())
    if standing in (Progress.ABSENT, Progress.RUNNING):
        return
    try:
        newest = runs[0].dagster_run.run_id
        if standing is Progress.SUCCEEDED and batch.run_id == newest:
            with database.begin() as connection:
                ledger.finish(connection, batch.id)
            return
        failed = failure(instance, runs[0], opened=batch.opened)
        with database.begin() as connection:
            decision = verdict(failed.fault, ledger.attempt(connection, batch.id), runs=len(runs))
            ledger.settle(connection, batch.id, decision, failed.error)
        log.warning(
            f"Batch {batch.id} ({batch.files} files): {failed.fault.value}; {decision}. {failed.error}"
        )
    except ledger.ClaimLost:
        log.info(f"Batch {batch.id} was settled meanwhile")
