"""What became of the runs of a batch, as Dagster's instance tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

from slipway.landing.isolation import Fault
from slipway.landing.tags import BATCH_TAG
from slipway.memory import exhaustion

RETRY_WAIT_SECONDS = 600
"""How long a run that Dagster means to retry may stay without its retry."""

SURROUNDINGS = frozenset(
    {
        "LandingUnavailable",
        "LandingDenied",
        "StorageLost",
        "StorageUnreachable",
        "LakeUnavailable",
        "HTTPException",  # DuckDB's: files are local, so it is the lake's S3
        "UserError",  # such as a lake that has no catalogue yet, or cannot be attached
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ReadTimeoutError",
        "OperationalError",
        "InterfaceError",
        "DagsterPostgresException",
    }
)
"""Errors, by class name, that are no file's fault."""


class Progress(Enum):
    """Where a batch stands."""

    ABSENT = "it has no run"
    RUNNING = "a run of it goes on, or will be retried"
    SUCCEEDED = "its run succeeded"
    FAILED = "its run failed or was cancelled"


@dataclass(frozen=True)
class Failure:
    """Why a run did not finish its batch."""

    fault: Fault
    error: str


class _Batch(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def run_id(self) -> str | None: ...


def runs_of(instance: DagsterInstance, batches: Sequence[_Batch]) -> dict[str, list[RunRecord]]:
    """The runs of each batch, newest first: by tag, or by the run that claimed it by hand."""
    found: dict[str, list[RunRecord]] = {batch.id: [] for batch in batches}
    if not batches:
        return found
    for record in instance.get_run_records(RunsFilter(tags={BATCH_TAG: list(found)})):
        found[record.dagster_run.tags[BATCH_TAG]].append(record)
    by_hand = {batch.run_id: batch.id for batch in batches if batch.run_id and not found[batch.id]}
    if by_hand:
        for record in instance.get_run_records(RunsFilter(run_ids=list(by_hand))):
            found[by_hand[record.dagster_run.run_id]].append(record)
    for records in found.values():
        records.sort(key=lambda record: record.create_timestamp, reverse=True)
    return found


def progress(runs: Sequence[RunRecord], now: float) -> Progress:
    """Where a batch with these runs, newest first, stands at a time in seconds since 1970."""
    if not runs:
        return Progress.ABSENT
    if not all(record.dagster_run.is_finished for record in runs):
        return Progress.RUNNING
    newest = runs[0].dagster_run
    if newest.status == DagsterRunStatus.SUCCESS:
        return Progress.SUCCEEDED
    will_retry = (
        newest.status == DagsterRunStatus.FAILURE and newest.tags.get(exhaustion.WILL_RETRY_TAG) == "true"
    )
    if will_retry and now - (runs[0].end_time or now) < RETRY_WAIT_SECONDS:
        return Progress.RUNNING
    return Progress.FAILED


def failure(instance: DagsterInstance, record: RunRecord, *, opened: bool) -> Failure:
    """Why a run that has ended did not finish its batch; opened: whether it ever asked for its files."""
    run = record.dagster_run
    if run.status == DagsterRunStatus.CANCELED:
        return Failure(Fault.CANCELLED, f"run {run.run_id} was cancelled")
    if run.status == DagsterRunStatus.SUCCESS:
        return Failure(
            Fault.UNREAD,
            f"run {run.run_id} succeeded without asking for its files: no asset calls LandingResource.batch",
        )
    for event in instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE):
        data = event.dagster_event.step_failure_data if event.dagster_event else None
        names, said = [], ""
        error = data.error if data else None
        while error is not None:
            names.append(error.cls_name)
            said = error.message.strip()
            error = error.cause
        told = (event.dagster_event.message if event.dagster_event else None) or ""
        if told.startswith(exhaustion.PREFIX):
            # A killed process left an error that says nothing.
            said = told.splitlines()[0]
        blameless = not opened or not SURROUNDINGS.isdisjoint(names)
        return Failure(Fault.SURROUNDINGS if blameless else Fault.STEP, f"run {run.run_id}: {said}")
    ends = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
    reason = ends[-1].dagster_event.message if ends and ends[-1].dagster_event else None
    # The same files would need as much memory once more; half of them may not.
    too_large = exhaustion.ran_out(run.tags, run.run_id)
    lost = Fault.STEP if too_large else Fault.LOST
    return Failure(
        lost if opened else Fault.SURROUNDINGS,
        f"run {run.run_id}: {reason or 'ended without an error'}",
    )
