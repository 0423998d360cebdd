"""Follows code servers that are replaced, until what is shown is what the new ones serve.

While a code server is rolled out, its Service answers from the old pod and from the new one, call by call. Dagster
loads a location again when it hears of another server, in several calls: some of them can come from the old pod, and
when the last change was seen before the last load, nothing loads it again. So a location is loaded once more when no
other server has been heard of for a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.workspace.context import WorkspaceProcessContext

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 2
LOADS_AFTER_SECONDS = (4.0, 12.0)
"""When a location is loaded again, after the last time that another server answered. The second is for clusters that
are slow to forget an ended pod: by then the chance that it is still there, and has not answered since, is nil."""


@dataclass
class Settling:
    """Decides when to load a location again: pure, but for the time that it is told."""

    known: str | None = None
    """The server that answered last."""
    _due: list[float] = field(default_factory=list)

    def see(self, answering: str, loaded: str | None, now: float) -> bool:
        """Whether to load the location now.

        Args:
            answering: id of the server that answers.
            loaded: id of the server that the location was loaded from; None while it does not load.
            now: seconds of a clock.
        """
        changed = self.known is not None and answering != self.known
        if changed or (not self._due and loaded is not None and loaded != answering):
            self._due = [now + seconds for seconds in LOADS_AFTER_SECONDS]
        self.known = answering
        if not self._due or now < self._due[0]:
            return False
        self._due.pop(0)
        return True


@contextmanager
def following(context: WorkspaceProcessContext) -> Iterator[None]:
    """Follow every code server of the workspace, each in a thread of its own."""
    stop = threading.Event()
    entries = context.get_current_workspace().code_location_entries
    threads = [
        threading.Thread(target=_follow, args=(context, name, stop.wait), name=f"rollout-{name}", daemon=True)
        for name, entry in entries.items()
        if isinstance(entry.origin, GrpcServerCodeLocationOrigin)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()


def _follow(context: WorkspaceProcessContext, name: str, wait: Callable[[float], bool]) -> None:
    settling = Settling()
    while not wait(LOOK_SECONDS):
        try:
            _look(context, name, settling)
        except DagsterUserCodeUnreachableError:
            # Dagster's own watch tells of it.
            continue
        except Exception:
            log.exception("code location %s cannot be followed; trying on", name)


def _look(context: WorkspaceProcessContext, name: str, settling: Settling) -> None:
    entry = context.get_current_workspace().code_location_entries.get(name)
    if entry is None or not isinstance(entry.origin, GrpcServerCodeLocationOrigin):
        return
    answering = entry.origin.create_client().get_server_id(timeout=ANSWER_SECONDS)
    location = entry.code_location
    loaded = location.server_id if isinstance(location, GrpcServerCodeLocation) else None
    if settling.see(answering, loaded, time.monotonic()):
        log.info("code location %s was replaced; loading it again", name)
        context.refresh_code_location(name)
