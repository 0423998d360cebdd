"""Tells of the failures that a run's own processes report, whether they were for want of memory.

The launcher sees a killed worker. It does not see in time that only the process of a step was killed: the run
reports its failure itself, and by then it must be clear whether it will be retried.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from dagster import DagsterInstance, EventLogEntry
from dagster._core.events import DagsterEvent, DagsterEventType, JobFailureData
from dagster._core.execution.plan.objects import StepFailureData
from dagster._utils.error import SerializableErrorInfo  # type: ignore[attr-defined]  # where every Dagster has it

from slipway.memory import exhaustion, kernel
from slipway.memory.exhaustion import Outlook, State

REFUSALS = frozenset({"MemoryError", "_ArrayMemoryError", "ArrowMemoryError", "OutOfMemoryException"})
"""Errors, by class name, of Python, NumPy, Arrow and DuckDB when they are given no more memory."""

SCRATCH_FULL = "max_temp_directory_size"
"""DuckDB says it with the same error when it is the scratch that is full."""


@dataclass
class Witness:
    """Sees the events of one run pass, in one of its processes."""

    outlook: Outlook
    account: kernel.Account | None
    _before: dict[str, int] = field(default_factory=dict)
    """Kills that had happened when a step's attempt began in this process, or its last one ended."""

    def step_failure(self, event: DagsterEvent) -> str | None:
        """The reason when a step failed for want of memory, else None."""
        data = event.event_specific_data
        error = data.error if isinstance(data, StepFailureData) else None
        refused = refusal(error)
        step = f"step '{event.step_key}'"
        if self.kills() > self._before.get(event.step_key or "", 0):
            return self._say(f"the kernel killed {step}, or a process of it,")
        return self._say(f"{step} was given no more ({refused})") if refused else None

    def run_failure(self, event: DagsterEvent, steps: Iterable[str]) -> str | None:
        """The reason when the run failed for want of memory, else None.

        Args:
            event: the run's failure.
            steps: messages of its steps' failures.
        """
        said = list(steps)
        reason = next((message for message in said if message.startswith(exhaustion.PREFIX)), None)
        if reason is not None:
            return reason.splitlines()[0]
        data = event.event_specific_data
        refused = refusal(data.error if isinstance(data, JobFailureData) else None)
        if self.kills() and not said:
            return self._say("the kernel killed a process of the run")
        return self._say(f"the run was given no more ({refused})") if refused and not said else None

    def next_attempt(self, event: DagsterEvent) -> None:
        """Kills before this are no fault of what follows."""
        self._before[event.step_key or ""] = self.kills()

    def kills(self) -> int:
        """How many processes of the run the kernel has killed for want of memory."""
        return 0 if self.account is None else self.account.kills()

    def _say(self, what: str) -> str:
        return self.outlook.sentence(what, _own_peak() if self.account is None else self.account.peak())


def witnessed(
    event: EventLogEntry,
    witness: Witness | None,
    instance: Callable[[], DagsterInstance],
) -> EventLogEntry:
    """The event, with the reason before its message when it is a failure for want of memory.

    The run is tagged with what becomes of it before its failure is stored.
    """
    happened = event.dagster_event
    if witness is None or happened is None or event.run_id != witness.outlook.run_id:
        return event
    match happened.event_type:
        case (
            DagsterEventType.STEP_START | DagsterEventType.STEP_UP_FOR_RETRY | DagsterEventType.STEP_RESTARTED
        ):
            witness.next_attempt(happened)
        case DagsterEventType.STEP_FAILURE:
            return _because(event, happened, witness.step_failure(happened))
        case DagsterEventType.RUN_FAILURE:
            return _run_failure(event, happened, witness, instance())
    return event


def _run_failure(
    event: EventLogEntry, happened: DagsterEvent, witness: Witness, instance: DagsterInstance
) -> EventLogEntry:
    failures = instance.all_logs(event.run_id, of_type=DagsterEventType.STEP_FAILURE)
    reason = witness.run_failure(happened, _messages(failures))
    if reason is not None:
        instance.add_run_tags(event.run_id, witness.outlook.tags())
    elif witness.kills():
        instance.add_run_tags(event.run_id, exhaustion.state_tags(State.OTHER))
    return _because(event, happened, reason)


def _messages(events: Iterable[EventLogEntry]) -> Iterator[str]:
    return (event.dagster_event.message or "" for event in events if event.dagster_event)


def _because(event: EventLogEntry, happened: DagsterEvent, reason: str | None) -> EventLogEntry:
    if reason is None:
        return event
    return event._replace(dagster_event=happened._replace(message=f"{reason}\n{happened.message or ''}"))


def refusal(error: SerializableErrorInfo | None) -> str | None:
    """The name of the error in the chain that says that there was no more memory, else None."""
    while error is not None:
        if error.cls_name in REFUSALS and SCRATCH_FULL not in error.message:
            return error.cls_name
        error = error.cause or error.context
    return None


def _own_peak() -> int:
    """Bytes that this process used at most; macOS counts in bytes, Linux in KiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
