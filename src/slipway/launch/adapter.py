"""What every runtime's adapter does for the launcher: start a run worker, look at it, stop it, clear up.

An adapter knows containers, processes or pods, and nothing of Dagster's instance: the launcher decides
what a worker's state means for its run.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from slipway.config.model import Platform, Reference
from slipway.profiles import ResolvedProfile

STOP_GRACE_SECONDS = 25
"""How long a run may take to end in order (upload its logs) before it is killed."""

LOG_LINES = 50
"""How many of the worker's own last lines an error shows."""


class EngineUnreachable(Exception):
    """The runtime's engine gave no answer, or an error that is not about the run. It may be gone in a second."""


@dataclass(frozen=True)
class SecretKey:
    """A value that the launcher does not know: where the run's own machine finds it."""

    name: str
    """The Kubernetes Secret, in the platform's namespace."""
    key: str


Value = str | SecretKey
"""What a variable of a run is set to."""


@dataclass(frozen=True)
class Surroundings:
    """What a runtime gives to the environment of a run."""

    runtime: str
    """Its name, the value of SLIPWAY_RUNTIME."""
    scratch: str
    """The folder that the run may write to, as the run sees it."""
    duckdb_folder: str
    """The folder of the location's DuckDB file, as the run sees it."""
    base: Mapping[str, str]
    """What a worker inherits of the machine it runs on."""
    bundled: Mapping[str, Value]
    """Addresses and credentials of the services that the runtime brings."""
    aws: Mapping[str, str]
    """Ambient credentials of AWS that the launcher may hand on."""


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
    env: Mapping[str, Value]
    profile: ResolvedProfile
    has_duckdb_file: bool = False
    """Whether the location declares a DuckDB file; its path, as the run sees it, is in `env`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The run's tags."""
    platform: Platform = field(default_factory=Platform)
    """platform.yaml as it is at this launch."""


class Phase(enum.Enum):
    """Where a worker is in its life."""

    ABSENT = "absent"
    WAITING = "waiting"
    """Made, and not started before somebody does so."""
    PENDING = "pending"
    """Made, and started by the engine itself as soon as that can be."""
    RUNNING = "running"
    """Started and not yet ended; a paused one is running too."""
    EXITED = "exited"


@dataclass(frozen=True)
class Obstacle:
    """Why a pending worker is not started."""

    kind: str
    """The same for every wording of one reason."""
    message: str
    """A sentence."""
    of_resources: bool = False
    """Whether it is about how much the run asks for."""


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
    cause: str | None = None
    """Who or what ended it, or is about to, as a sentence, where the engine says."""
    obstacle: Obstacle | None = None
    """Why it is still pending, where the engine says."""


class Adapter(Protocol):
    """One runtime. Methods raise `UserError` for what the user must mend, `EngineUnreachable` for what passes."""

    def platform(self) -> Platform:
        """platform.yaml as it is now."""
        ...

    def resolver(self, platform: Platform) -> Callable[[Reference], Value]:
        """How a run is given what a reference of platform.yaml stands for."""
        ...

    def surroundings(self, run_id: str, location: str) -> Surroundings:
        """What the runtime gives to the environment of a run of this location."""
        ...

    def image(self, platform: Platform, location: str) -> str:
        """The container image of a location whose code server does not say which one it is."""
        ...

    def host(self) -> Host | None:
        """What the machine has that all runs share; None where each run is given a machine that suits it."""
        ...

    def adjusted(
        self, profile: ResolvedProfile, tags: Mapping[str, str]
    ) -> tuple[ResolvedProfile, list[str]]:
        """The profile as a run's own tags change it for this runtime, and a sentence for each change."""
        ...

    def scratch(self, run_id: str) -> str:
        """The folder that the run may write to, as the run sees it."""
        ...

    def accounts(self) -> bool:
        """Whether the kernel counts a run's memory apart from that of others."""
        ...

    def stops_anywhere(self) -> bool:
        """Whether every service of the platform may stop workers; where not, the daemon's sweep does."""
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
        """Forget a worker that ended or never started, and remove all it left."""
        ...

    def workers(self) -> Mapping[str, Phase]:
        """Where each worker is that is not yet removed, by the id of its run."""
        ...
