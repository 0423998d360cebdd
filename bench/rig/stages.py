"""Where the time of a run goes: pure functions from what was seen of it to the length of each stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

FIRST_LINE = "Started process for run"
"""How Dagster's run worker begins its first event."""

STAGES = (
    ("request → queued", "requested", "queued"),
    ("queued → dequeued", "queued", "dequeued"),
    ("dequeued → container created", "dequeued", "created"),
    ("created → started", "created", "started"),
    ("started → worker's first event", "started", "worker"),
    ("first event → run started", "worker", "run"),
    ("run started → step's process asked for", "run", "step_asked"),
    ("asked for → step started", "step_asked", "step"),
    ("step started → step ended", "step", "step_ended"),
    ("step ended → run ended", "step_ended", "ended"),
    ("run ended → container ended", "ended", "exited"),
)
"""Name, first mark and last mark of each stage. The last is after the run's success and counts in no total."""

LANDING_STAGES = (
    ("landed → run asked for", "landed", "queued"),
    *STAGES[1:8],
    ("step started → materialised", "step", "materialised"),
)
"""The same for a landed file, up to its materialisation."""

_MARKS = {
    "RUN_ENQUEUED": "queued",
    "RUN_STARTING": "dequeued",
    "RUN_START": "run",
    "STEP_WORKER_STARTING": "step_asked",
    "STEP_START": "step",
    "ASSET_MATERIALIZATION": "materialised",
    "STEP_SUCCESS": "step_ended",
    "RUN_SUCCESS": "ended",
}


@dataclass(frozen=True)
class Event:
    """An event of a run's log."""

    kind: str
    """Dagster's event type; empty for a plain log line."""
    message: str
    at: float
    """Seconds since the epoch."""


def marks(events: Iterable[Event]) -> dict[str, float]:
    """When a run passed each mark, by the first event that says so."""
    found: dict[str, float] = {}
    for event in events:
        name = "worker" if event.message.startswith(FIRST_LINE) else _MARKS.get(event.kind)
        if name is not None:
            found.setdefault(name, event.at)
    return found


def durations(seen: Mapping[str, float], stages: Sequence[tuple[str, str, str]] = STAGES) -> dict[str, float]:
    """Seconds of each stage both of whose ends were seen."""
    return {name: seen[last] - seen[first] for name, first, last in stages if first in seen and last in seen}
