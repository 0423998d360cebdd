"""Follows a run or a backfill in the instance until it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.execution.stats import StepEventStatus
from dagster._core.storage.dagster_run import RunsFilter
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, BACKFILL_ID_TAG

from slipway.ops.launching.submission import Submitted

RUN_SECONDS, BACKFILL_SECONDS = 0.5, 2.0
"""Between two looks."""

SHOWN_FAILURES = 3

_WORDS = {
    DagsterRunStatus.SUCCESS: "succeeded",
    DagsterRunStatus.FAILURE: "failed",
    DagsterRunStatus.CANCELED: "cancelled",
    DagsterRunStatus.CANCELING: "being cancelled",
    DagsterRunStatus.STARTED: "running",
    DagsterRunStatus.STARTING: "starting",
    DagsterRunStatus.QUEUED: "queued",
}

_OVER = {
    BulkActionStatus.COMPLETED,
    BulkActionStatus.COMPLETED_SUCCESS,
    BulkActionStatus.COMPLETED_FAILED,
    BulkActionStatus.FAILED,
    BulkActionStatus.CANCELED,
}


@dataclass(frozen=True)
class Progress:
    """Where it stands."""

    line: str
    over: bool = False
    succeeded: bool = False


class TimedOut(Exception):
    """It was not over in time, and goes on."""


def follow(
    instance: DagsterInstance, submitted: Submitted, show: Callable[[Progress], None], seconds: float | None
) -> Progress:
    """Show the progress until it is over; how it ended.

    Raises:
        TimedOut: it is not over after so many seconds.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    steps = _run(instance, submitted.run_id) if submitted.run_id else _backfill(instance, submitted)
    for progress in steps:
        show(progress)
        if progress.over:
            return progress
        if deadline is not None and time.monotonic() > deadline:
            raise TimedOut
        time.sleep(RUN_SECONDS if submitted.run_id else BACKFILL_SECONDS)
    raise AssertionError("a run and a backfill have an end")


def runs(instance: DagsterInstance, submitted: Submitted) -> list[DagsterRun]:
    """The runs of it, the first one first; a run's automatic retries follow it."""
    if submitted.backfill_id is not None:
        found = instance.get_runs(RunsFilter(tags={BACKFILL_ID_TAG: submitted.backfill_id}))
        return list(reversed(found))
    found = []
    next_id = submitted.run_id
    while next_id is not None:
        run = instance.get_run_by_id(next_id)
        if run is None:
            break
        found.append(run)
        next_id = run.tags.get(AUTO_RETRY_RUN_ID_TAG)
    return found


def failures(instance: DagsterInstance, submitted: Submitted) -> list[tuple[str, str]]:
    """Run and reason of some that failed and were not retried with success."""
    failed = [run for run in runs(instance, submitted) if run.status is DagsterRunStatus.FAILURE]
    last = [run for run in failed if AUTO_RETRY_RUN_ID_TAG not in run.tags]
    found = [(run.run_id, reason(instance, run.run_id)) for run in last[:SHOWN_FAILURES]]
    if submitted.backfill_id is not None and not found:
        backfill = instance.get_backfill(submitted.backfill_id)
        if backfill is not None and backfill.error is not None:
            found.append((submitted.backfill_id, backfill.error.message.strip()))
    return found


def reason(instance: DagsterInstance, run_id: str) -> str:
    """Why a run failed: its steps' own errors, or what Dagster says of the run."""
    events = instance.all_logs(run_id, of_type={DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE})
    found = []
    for event in events:
        if event.dagster_event is None:
            continue
        if event.dagster_event.event_type is DagsterEventType.STEP_FAILURE:
            error = event.dagster_event.step_failure_data.error
            found.append(f"{event.step_key}: {_innermost(error)}")
        elif not found or "Steps failed" not in event.message:
            found.append(event.message.strip())
    return "\n".join(found) or "nothing tells why"


def _run(instance: DagsterInstance, run_id: str) -> Iterator[Progress]:
    began = time.monotonic()
    retries = 0
    while True:
        run = instance.get_run_by_id(run_id)
        if run is None:
            yield Progress(f"run {run_id} was deleted", over=True)
            return
        if not run.is_finished:
            yield Progress(
                f"run {run_id}: {_WORDS.get(run.status, run.status.value)}{_details(instance, run)}"
            )
        elif run.is_complete_and_waiting_to_retry:
            yield Progress(f"run {run_id}: failed, waiting for its retry")
        elif run.status is DagsterRunStatus.FAILURE and (again := run.tags.get(AUTO_RETRY_RUN_ID_TAG)):
            retries += 1
            yield Progress(f"run {run_id}: failed, retried as run {again}")
            run_id = again
        else:
            took = f"{time.monotonic() - began:.0f} s"
            tries = f" at attempt {retries + 1}" if retries else ""
            yield Progress(
                f"run {run_id}: {_WORDS[run.status]}{tries} after {took}{_profile(run)}",
                over=True,
                succeeded=run.status is DagsterRunStatus.SUCCESS,
            )
            return


def _details(instance: DagsterInstance, run: DagsterRun) -> str:
    if run.status is not DagsterRunStatus.STARTED or run.execution_plan_snapshot_id is None:
        return _profile(run)
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    stats = instance.get_run_step_stats(run.run_id)
    done = sum(one.status in (StepEventStatus.SUCCESS, StepEventStatus.SKIPPED) for one in stats)
    return f"{_profile(run)}, {done} of {len(plan.step_keys_to_execute)} steps done"


def _profile(run: DagsterRun) -> str:
    source = run.tags.get("slipway/profile_source")
    return "" if source is None else f" with profile '{run.tags.get('slipway/profile')}' ({source})"


def _backfill(instance: DagsterInstance, submitted: Submitted) -> Iterator[Progress]:
    began = time.monotonic()
    backfill_id = str(submitted.backfill_id)
    while True:
        backfill = instance.get_backfill(backfill_id)
        if backfill is None:
            yield Progress(f"backfill {backfill_id} was deleted", over=True)
            return
        counts = {status: instance.get_runs_count(_of(backfill_id, status)) for status in _WORDS}
        shown = ", ".join(f"{counts[status]} {word}" for status, word in _WORDS.items() if counts[status])
        where = f"backfill {backfill_id}, {submitted.partitions} partitions: runs: {shown or 'none yet'}"
        if backfill.status not in _OVER:
            yield Progress(where)
            continue
        succeeded = backfill.status in (
            BulkActionStatus.COMPLETED_SUCCESS,
            BulkActionStatus.COMPLETED,
        ) and not (counts[DagsterRunStatus.FAILURE] and backfill.status is BulkActionStatus.COMPLETED)
        ended = (
            "succeeded"
            if succeeded
            else "cancelled"
            if backfill.status is BulkActionStatus.CANCELED
            else "failed"
        )
        yield Progress(
            f"{where}; {ended} after {time.monotonic() - began:.0f} s", over=True, succeeded=succeeded
        )
        return


def _of(backfill_id: str, status: DagsterRunStatus) -> RunsFilter:
    return RunsFilter(tags={BACKFILL_ID_TAG: backfill_id}, statuses=[status])


def _innermost(error: Any) -> str:
    """A step's own error, under Dagster's that wraps it."""
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip()
