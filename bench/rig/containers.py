"""Sees the containers of runs come and go, with the engine's own times."""

from __future__ import annotations

import threading
from collections import defaultdict
from types import TracebackType
from typing import Any

import docker

from bench.rig.failure import BenchmarkFailed

RUN_LABEL = "dagster/run_id"
"""The label that both launchers give to a run's container."""

MARKS = {"create": "created", "start": "started", "die": "exited"}

LIMITS = (
    "Memory",
    "MemorySwap",
    "MemoryReservation",
    "CpuPeriod",
    "CpuQuota",
    "NanoCpus",
    "CpusetCpus",
    "PidsLimit",
    "CapDrop",
    "SecurityOpt",
)
"""What must be the same on both sides, in the engine's own names."""


class Containers:
    """Listens to the engine's events while it is entered."""

    def __init__(self) -> None:
        self._engine = docker.from_env(timeout=120)
        self._marks: dict[str, dict[str, float]] = defaultdict(dict)
        self._limits: dict[str, dict[str, Any]] = {}
        self._expected: dict[str, Any] | None = None
        self._changed = threading.Condition()
        self._stream: Any = None

    def __enter__(self) -> Containers:
        """Begin to listen."""
        self._stream = self._engine.events(
            decode=True, filters={"type": "container", "event": list(MARKS), "label": RUN_LABEL}
        )
        threading.Thread(target=self._listen, name="engine-events", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._stream.close()
        self._engine.close()

    def _listen(self) -> None:
        for event in self._stream:
            run_id = event["Actor"]["Attributes"][RUN_LABEL]
            with self._changed:
                self._marks[run_id].setdefault(MARKS[event["Action"]], event["timeNano"] / 1e9)
                self._changed.notify_all()
            if event["Action"] == "start":
                self._inspect(run_id, event["Actor"]["ID"])

    def _inspect(self, run_id: str, container: str) -> None:
        try:
            config = self._engine.api.inspect_container(container)["HostConfig"]
        except docker.errors.NotFound:
            return
        self._limits[run_id] = {name: config.get(name) for name in LIMITS}

    def marks(self, run_id: str, seconds: float = 30) -> dict[str, float]:
        """When the run's container was created, started and ended, in seconds since the epoch; waits for its end."""
        with self._changed:
            self._changed.wait_for(lambda: "exited" in self._marks[run_id], seconds)
            return dict(self._marks[run_id])

    def check_limits(self, run_id: str) -> None:
        """Hold what the engine held the run's container to against the runs before.

        Raises:
            BenchmarkFailed: it was something else.
        """
        limits = self._limits.get(run_id, {})
        if self._expected is None:
            self._expected = limits
        if limits != self._expected:
            raise BenchmarkFailed(f"run {run_id} was held to {limits}, and another to {self._expected}")
