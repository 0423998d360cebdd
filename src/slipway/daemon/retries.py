"""Retries runs that were out of memory, each once, on the profile that was frozen on it.

What is to be retried is read from the runs themselves at every pass, so a daemon that is killed at any point leaves
nothing undone: the next pass finds the retry that the last one made, or makes it. Making is Dagster's own.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.events import HandledOutputData
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, RETRY_NUMBER_TAG, RETRY_STRATEGY_TAG
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
from slipway.database.engine import engine
from slipway.landing import ledger
from slipway.landing.tags import BATCH_TAG, LANDING_TAG
from slipway.launch import frozen
from slipway.launch.adapter import EngineUnreachable
from slipway.launch.escalation import ATTEMPT_TAG, NotRetried
from slipway.launch.launcher import SlipwayRunLauncher
from slipway.memory import exhaustion
from slipway.memory.exhaustion import State
from slipway.profiles import ResolvedProfile

log = logging.getLogger(__name__)

Context = IWorkspaceProcessContext[Any]

ALL_STEPS = ReexecutionStrategy.ALL_STEPS.name
FROM_FAILURE = ReexecutionStrategy.FROM_FAILURE.name

_RETRY_LOCK = 0x511B_0004
"""Key of the advisory lock that a pass holds: two daemons, for a moment, make no two retries of one run."""

PATIENCE_SECONDS = 540
"""How long a retry may wait for its code location. The sensor of a landing waits 600 for it."""


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


def retry_pending(context: Context) -> None:
    """Retry every run that waits for it, unless another daemon is at it."""
    instance = context.instance
    launcher = instance.run_launcher
    if not isinstance(launcher, SlipwayRunLauncher) or not _pending(instance):
        return
    platform = config.current()
    with engine(postgres_url(platform)).begin() as connection:
        # The end of the transaction gives it back, and so does the end of this process.
        if not connection.execute(
            text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _RETRY_LOCK}
        ).scalar():
            return
        for run in _pending(instance):
            try:
                _retry(context, launcher, run, batch_tags(connection, run) if platform.landing else {})
            except NotRetried as error:
                _give_up(instance, run, str(error))
            except Exception as error:
                _later(instance, run, error)


def _pending(instance: DagsterInstance) -> list[DagsterRun]:
    return list(
        instance.get_runs(
            RunsFilter(statuses=[DagsterRunStatus.FAILURE], tags={exhaustion.STATE_TAG: State.PENDING.value})
        )
    )


def batch_tags(connection: Connection, run: DagsterRun) -> dict[str, str]:
    """The tags by which a retry finds the files that its run claimed by itself, started by hand."""
    held = [] if BATCH_TAG in run.tags else ledger.held_by(connection, run.run_id)
    return {BATCH_TAG: held[0][0], LANDING_TAG: held[0][1]} if len(held) == 1 else {}


def _retry(
    context: Context, launcher: SlipwayRunLauncher, run: DagsterRun, more_tags: Mapping[str, str]
) -> None:
    instance = context.instance
    decided = frozen.read(run.tags, run.run_id)
    if decided is None:
        # It failed before its launch, with tags that are its parent's.
        instance.add_run_tags(run.run_id, {exhaustion.STATE_TAG: State.UNKNOWN.value})
        return
    successor = launcher.successor(decided)
    if not should_retry(run, instance):
        raise NotRetried("its backfill is over")
    made = _made(instance, run)
    if made is not None:
        instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: made.run_id})
    tags = {key: value for key, value in run.tags.items() if key != exhaustion.STATE_TAG}
    retry_run(
        run.with_tags(
            {
                **tags,
                **more_tags,
                **({} if made is None else {AUTO_RETRY_RUN_ID_TAG: made.run_id}),
                **replace(successor, source="run").tags(),
                ATTEMPT_TAG: decided.escalation.next_attempt,
                RETRY_STRATEGY_TAG: strategy(instance, run, launcher.scratch(run.run_id)),
            }
        ),
        context,
    )
    if _made(instance, run) is None:
        raise NotRetried("its job is not there any more")
    instance.add_run_tags(run.run_id, {exhaustion.STATE_TAG: State.RETRIED.value})
    instance.report_engine_event(_said(decided, successor), run)


def _said(decided: frozen.Frozen, successor: ResolvedProfile) -> str:
    return (
        f"Retry {decided.escalation.next_attempt} for want of memory, on profile '{successor.name}' with"
        f" {format_bytes(successor.limits.memory)} in place of {format_bytes(decided.profile.limits.memory)}."
    )


def _made(instance: DagsterInstance, run: DagsterRun) -> DagsterRun | None:
    """The retry that an earlier pass made; a re-execution by a person is none."""
    children = instance.get_runs(RunsFilter(tags={"dagster/parent_run_id": run.run_id}))
    return next((child for child in children if RETRY_NUMBER_TAG in child.tags), None)


def _later(instance: DagsterInstance, run: DagsterRun, error: Exception) -> None:
    record = instance.get_run_record_by_id(run.run_id)
    ended = None if record is None else record.end_time
    if isinstance(error, EngineUnreachable) or (ended and time.time() - ended < PATIENCE_SECONDS):
        log.warning("run %s was out of memory and cannot be retried yet: %s", run.run_id, error)
        return
    _give_up(instance, run, f"for {PATIENCE_SECONDS // 60} minutes it could not be made: {error}")


def _give_up(instance: DagsterInstance, run: DagsterRun, why: str) -> None:
    instance.add_run_tags(run.run_id, exhaustion.state_tags(State.FINAL))
    instance.report_engine_event(f"Not retried for want of memory: {why}.", run)


def strategy(instance: DagsterInstance, run: DagsterRun, scratch: str) -> str:
    """Which of the run's steps are repeated: what the run's tag asks for, else those that did not succeed.

    All of them are, where one of those needs what another step left in the scratch, which went with the run. An
    output whose IO manager says nothing of where it is counts as such.
    """
    asked = run.tags.get(RETRY_STRATEGY_TAG, "")
    if asked in ReexecutionStrategy.__members__:
        return asked
    if run.execution_plan_snapshot_id is None:
        return ALL_STEPS
    keys, _ = KnownExecutionState.build_resume_retry_reexecution(instance, run)
    if not keys:
        return ALL_STEPS
    again = set(keys)
    needed = {
        (handle.step_key, handle.output_name)
        for step in instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).steps
        if step.key in again
        for needs in step.inputs
        if needs.dagster_type_key != "Nothing"
        for handle in needs.upstream_output_handles
        if handle.step_key not in again
    }
    lost = any(
        (event.step_key, data.output_name) in needed and _is_lost(data, scratch)
        for event in instance.all_logs(run.run_id, of_type=DagsterEventType.HANDLED_OUTPUT)
        if event.dagster_event
        and isinstance(data := event.dagster_event.event_specific_data, HandledOutputData)
    )
    return ALL_STEPS if lost else FROM_FAILURE


def _is_lost(data: HandledOutputData, scratch: str) -> bool:
    if not data.metadata:
        return True
    path = data.metadata.get("path")
    return path is not None and str(path.value).startswith(scratch.rstrip(os.sep) + os.sep)
