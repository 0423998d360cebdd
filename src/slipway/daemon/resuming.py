"""Which steps of a failed run its retry repeats, given that the run's scratch is gone."""

from __future__ import annotations

import os

from dagster import DagsterEventType, DagsterInstance, DagsterRun
from dagster._core.events import HandledOutputData
from dagster._core.execution.plan.resume_retry import ReexecutionStrategy
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.storage.tags import RETRY_STRATEGY_TAG

ALL_STEPS = ReexecutionStrategy.ALL_STEPS.name
FROM_FAILURE = ReexecutionStrategy.FROM_FAILURE.name


class NothingLeft(Exception):
    """All steps of the run had finished."""


def strategy(instance: DagsterInstance, run: DagsterRun, scratch: str) -> str:
    """What the run's tag asks for, else FROM_FAILURE: those that did not succeed, and what follows them.

    ALL_STEPS, where one of those needs what a finished step left in the scratch. An output whose IO manager says
    nothing of where it is counts as such.

    Args:
        instance: the instance that has the run.
        run: the failed run.
        scratch: the folder that went with its worker, as the run saw it.

    Raises:
        NothingLeft: there is no step to repeat.
    """
    asked = run.tags.get(RETRY_STRATEGY_TAG, "")
    if asked in ReexecutionStrategy.__members__:
        return asked
    if run.execution_plan_snapshot_id is None:
        return ALL_STEPS
    again = set(KnownExecutionState.build_resume_retry_reexecution(instance, run)[0])
    if not again:
        raise NothingLeft
    needed = {
        (handle.step_key, handle.output_name)
        for step in instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).steps
        if step.key in again
        for needs in step.inputs
        if needs.dagster_type_key != "Nothing"
        for handle in needs.upstream_output_handles
        if handle.step_key not in again
    }
    kept = instance.all_logs(run.run_id, of_type=DagsterEventType.HANDLED_OUTPUT)
    lost = any(
        (event.step_key, data.output_name) in needed and _is_lost(data, scratch)
        for event in kept
        if event.dagster_event
        and isinstance(data := event.dagster_event.event_specific_data, HandledOutputData)
    )
    return ALL_STEPS if lost else FROM_FAILURE


def _is_lost(data: HandledOutputData, scratch: str) -> bool:
    if not data.metadata:
        return True
    path = data.metadata.get("path")
    return path is not None and str(path.value).startswith(scratch.rstrip(os.sep) + os.sep)
