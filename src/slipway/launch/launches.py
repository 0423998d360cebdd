"""The launches that this process is at: who waits for an engine, for how long, and who must not be disturbed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from slipway.launch.adapter import EngineUnreachable

T = TypeVar("T")

PATIENCE_SECONDS = 120
"""How long a launch waits for an engine that does not answer: a gate or an API server that is restarted costs the
runs of that moment a wait, not their lives."""

ATTEMPT_SECONDS = 0.5


class Interrupted(Exception):
    """This process ends before it could launch a run."""


class Launches:
    """What is being launched, and when it was; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: set[str] = set()
        self._launched: dict[str, float] = {}
        self._ending = threading.Event()

    @contextmanager
    def launching(self, run_id: str) -> Iterator[None]:
        """While this lasts, the run has no worker yet and is nobody else's concern."""
        with self._lock:
            self._current.add(run_id)
        try:
            yield
        finally:
            with self._lock:
                self._current.discard(run_id)
                self._launched[run_id] = time.time()

    def is_launching(self, run_id: str) -> bool:
        """Whether this process is at the launch of the run."""
        with self._lock:
            return run_id in self._current

    def launched(self, run_id: str, otherwise: Callable[[], float]) -> float:
        """When the run was launched; of a run that an earlier process launched, what `otherwise` says."""
        if run_id not in self._launched:
            self._launched.setdefault(run_id, otherwise())
        return self._launched[run_id]

    def forget_all_but(self, run_ids: Collection[str]) -> None:
        """Keep no times but those of runs that are still to start."""
        with self._lock:
            self._launched = {
                run_id: at for run_id, at in self._launched.items() if run_id in {*run_ids, *self._current}
            }

    def patiently(self, action: Callable[[], T]) -> T:
        """Do it, again and again while the engine does not answer.

        Raises:
            EngineUnreachable: it has not answered for `PATIENCE_SECONDS`.
            Interrupted: this process ends.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return action()
            except EngineUnreachable:
                if time.monotonic() > deadline:
                    raise
                if self._ending.wait(ATTEMPT_SECONDS):
                    raise Interrupted from None

    def end(self) -> None:
        """Nobody waits any longer."""
        self._ending.set()
