"""What every runtime's adapter does for the launcher: start a run worker, look at it, stop it, clear up.

An adapter knows containers, processes or pods, and nothing of Dagster's instance: the launcher decides
what a worker's state means for its run.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from slipway.profiles import ResolvedProfile

STOP_GRACE_SECONDS = 25
"""How long a run may take to end in order (upload its logs) before it is killed."""

LOG_LINES = 50
"""How many of the worker's own last lines an error shows."""


class EngineUnreachable(Exception):
    """The runtime's engine gave no answer, or an error that is not about the run. It may be gone in a second."""


@dataclass(frozen=True)
class Host:
    """What the machine that runs are launched on has."""

    cpu: Decimal
    """Cores."""
    memory: int
    """Bytes."""


@dataclass(frozen=True)
class WorkOrder:
    """Everything an adapter needs to start one run's worker."""

    run_id: str
    job_name: str
    location: str
    image: str
    """The container image that the run's code server reports, else the location's in platform.yaml."""
    python: str
    """The interpreter of the code server, where the run is executed."""
    folder: Path
    """The location's folder on this machine; containers have their own."""
    arguments: str
    """What `dagster api execute_run` takes."""
    env: Mapping[str, str]
    profile: ResolvedProfile
    has_duckdb_file: bool = False
    """Whether the location declares a DuckDB file; its path, as the run sees it, is in `env`."""


class Phase(enum.Enum):
    """Where a worker is in its life."""

    ABSENT = "absent"
    WAITING = "waiting"
    """Made and not yet started."""
    RUNNING = "running"
    """Started and not yet ended; a paused one is running too."""
    EXITED = "exited"


@dataclass(frozen=True)
class WorkerState:
    """What can be seen of a worker from outside."""

    phase: Phase
    exit_code: int | None = None
    """As a shell gives it (137 = killed), where known."""
    out_of_memory: bool = False
    """Whether the kernel killed the worker, or a process under it, for want of memory."""
    peak: int | None = None
    """Bytes that the worker and all under it used at most, where known."""


class Adapter(Protocol):
    """One runtime. Methods raise `UserError` for what the user must mend, `EngineUnreachable` for what passes."""

    def host(self) -> Host:
        """What the machine has."""
        ...

    def base_environment(self) -> dict[str, str]:
        """What a worker inherits of the machine it runs on."""
        ...

    def scratch(self, run_id: str) -> str:
        """The folder that the run may write to, as the run sees it."""
        ...

    def accounts(self) -> bool:
        """Whether the kernel counts a run's memory apart from that of others."""
        ...

    def duckdb_folder(self, location: str) -> str:
        """The folder of a location's DuckDB file, as its runs see it."""
        ...

    def start(self, order: WorkOrder) -> str:
        """Start the worker unless it runs already; say which one it is, in a few words."""
        ...

    def state(self, run_id: str) -> WorkerState:
        """Look at the worker."""
        ...

    def logs(self, run_id: str) -> str:
        """The last lines that the worker itself wrote."""
        ...

    def stop(self, run_id: str) -> bool:
        """End the worker: politely, then by force. False when there was none to end."""
        ...

    def remove(self, run_id: str) -> None:
        """Forget an ended worker and remove all it left."""
        ...

    def exited(self) -> Iterable[str]:
        """The ids of runs whose workers ended, or never started, and are not yet removed."""
        ...
