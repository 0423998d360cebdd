"""Retries runs that were out of memory, each once, on the profile that was frozen on it.

What is to be retried is read from the runs themselves at every pass, so a daemon that is killed at any point leaves
nothing undone: the next pass finds the retry that the last one made, or makes it. Making is Dagster's own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    PARENT_RUN_ID_TAG,
    RETRY_NUMBER_TAG,
    RETRY_STRATEGY_TAG,
)
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    consume_new_runs_for_automatic_reexecution,
    retry_run,
    should_retry,
)
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from sqlalchemy import Connection, text

from slipway import config
from slipway.config.connections import postgres_url
from slipway.config.quantity import format_bytes
from slipway.daemon.resuming import NothingLeft, strategy
from slipway.database.engine import engine
from slipway.landing import ledger
from slipway.landing.outcome import RETRY_WAIT_SECONDS
from slipway.landing.tags import BATCH_TAG, LANDING_TAG
from slipway.launch import frozen
from slipway.launch.adapter import EngineUnreachable
from slipway.launch.escalation import ATTEMPT_TAG, NotRetried
from slipway.launch.launcher import SlipwayRunLauncher
from slipway.memory import exhaustion
from slipway.memory.exhaustion import State

log = logging.getLogger(__name__)

Context = IWorkspaceProcessContext[Any]

_RETRY_LOCK = 0x511B_0004
"""Key of the advisory lock that a pass holds: two daemons, for a moment, make no two retries of one run."""

PATIENCE_SECONDS = 540
"""How long a retry may wait for its code location."""


class OtherRetries(EventLogConsumerDaemon):
    """Dagster's daemon of automatic retries, for all runs but those that were out of memory."""

    @property
    def handle_updated_runs_fns(
        self,
    ) -> Sequence[Callable[[Context, Sequence[RunRecord], logging.Logger], Iterator[Any]]]:
        """What is done with runs that ended."""
        return [_consume]


def _consume(context: Context, records: Sequence[RunRecord], logger: logging.Logger) -> Iterator[Any]:
    others = [record for record in records if not _is_ours(record.dagster_run)]
    yield from consume_new_runs_for_automatic_reexecution(context, others, logger)


def _is_ours(run: DagsterRun) -> bool:
    return exhaustion.will_retry(run.tags, run.run_id) is True


class Retries:
    """Makes the retries that are due, at each pass."""

    def __init__(self) -> None:
        self._in_vain_since: dict[str, float] = {}

    def make(self, context: Context) -> None:
        """Retry every run that waits for it, unless another daemon is at it."""
        instance = context.instance
        launcher = instance.run_launcher
        if not isinstance(launcher, SlipwayRunLauncher) or not _pending(instance):
            self._in_vain_since.clear()
            return
        platform = config.current()
        with engine(postgres_url(platform)).begin() as connection:
            # The end of the transaction gives it back, and so does the end of this process.
            mine = connection.execute(
                text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _RETRY_LOCK}
            ).scalar()
            for record in _pending(instance) if mine else []:
                run = record.dagster_run
                try:
                    batch = batch_tags(connection, run) if platform.landing else {}
                    _retry(context, launcher, record, batch)
                except NotRetried as error:
                    _give_up(instance, run, str(error))
                except Exception as error:
                    self._later(instance, run, error)

    def _later(self, instance: DagsterInstance, run: DagsterRun, error: Exception) -> None:
        since = self._in_vain_since.setdefault(run.run_id, time.monotonic())
        if isinstance(error, EngineUnreachable) or time.monotonic() - since < PATIENCE_SECONDS:
            log.warning("run %s was out of memory and cannot be retried yet: %s", run.run_id, error)
        else:
            _give_up(instance, run, f"for {PATIENCE_SECONDS // 60} minutes it could not be made: {error}")


def _pending(instance: DagsterInstance) -> Sequence[RunRecord]:
    tags = {exhaustion.STATE_TAG: State.PENDING.value}
    return instance.get_run_records(RunsFilter(statuses=[DagsterRunStatus.FAILURE], tags=tags))


def batch_tags(connection: Connection, run: DagsterRun) -> dict[str, str]:
    """The tags by which a retry finds the files that its run claimed by itself, started by hand."""
    held = [] if BATCH_TAG in run.tags else ledger.held_by(connection, run.run_id)
    return {BATCH_TAG: held[0][0], LANDING_TAG: held[0][1]} if len(held) == 1 else {}


def _retry(
    context: Context, launcher: SlipwayRunLauncher, record: RunRecord, batch: Mapping[str, str]
) -> None:
    instance, run = context.instance, record.dagster_run
    decided = frozen.read(run.tags, run.run_id)
    if decided is None:
        # It failed before its launch, with tags that are its parent's.
        instance.add_run_tags(run.run_id, {exhaustion.STATE_TAG: State.UNKNOWN.value})
        return
    made = _made(instance, run)
    if made is not None:
        # By this Dagster submits it, if the last pass did not come so far.
        instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: made.run_id})
        retry_run(run.with_tags({**run.tags, AUTO_RETRY_RUN_ID_TAG: made.run_id}), context)
    else:
        retry_run(run.with_tags({**_tags(instance, launcher, record, decided), **batch}), context)
        if _made(instance, run) is None:
            raise NotRetried("its job is not there any more")
    instance.add_run_tags(run.run_id, {exhaustion.STATE_TAG: State.RETRIED.value})


def _tags(
    instance: DagsterInstance, launcher: SlipwayRunLauncher, record: RunRecord, decided: frozen.Frozen
) -> dict[str, str]:
    """The tags of the retry, before Dagster's own.

    Raises:
        NotRetried: something has changed since the run was launched.
    """
    run = record.dagster_run
    if BATCH_TAG in run.tags and record.end_time and time.time() - record.end_time > RETRY_WAIT_SECONDS:
        raise NotRetried("the sensor of its landing has waited long enough, and gone on")
    successor = launcher.successor(decided, run.tags)
    if not should_retry(run, instance):
        raise NotRetried("its backfill is over")
    try:
        steps = strategy(instance, run, launcher.scratch(run.run_id))
    except NothingLeft as error:
        raise NotRetried("all of its steps had finished") from error
    instance.report_engine_event(
        f"Retry {decided.escalation.next_attempt} for want of memory, on profile '{successor.name}' with"
        f" {format_bytes(successor.limits.memory)} in place of {format_bytes(decided.profile.limits.memory)}.",
        run,
    )
    return {
        **{key: value for key, value in run.tags.items() if key != exhaustion.STATE_TAG},
        **replace(successor, source="run").tags(),
        ATTEMPT_TAG: decided.escalation.next_attempt,
        RETRY_STRATEGY_TAG: steps,
    }


def _made(instance: DagsterInstance, run: DagsterRun) -> DagsterRun | None:
    """The retry that an earlier pass made; a re-execution by a person is none."""
    children = instance.get_runs(RunsFilter(tags={PARENT_RUN_ID_TAG: run.run_id}))
    return next((child for child in children if RETRY_NUMBER_TAG in child.tags), None)


def _give_up(instance: DagsterInstance, run: DagsterRun, why: str) -> None:
    instance.add_run_tags(run.run_id, exhaustion.state_tags(State.FINAL))
    instance.report_engine_event(f"Not retried for want of memory: {why}.", run)
