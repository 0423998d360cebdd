"""Dagster's sensor daemon, whose loop comes round at once when files have arrived.

Its own pace stays as the safety net: with nobody to wake it, it is Dagster's to the second.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any

from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.daemon import DaemonIterator, SensorDaemon

from slipway.landing.sensor import TICK_SECONDS

SECOND_LOOK_SECONDS = TICK_SECONDS + 0.05
"""A sensor that ticked just before it was woken is not due yet: the loop comes round again when it is."""

SHUTDOWN_SECONDS = 0.25
"""How late a shutdown may be noticed."""


class Pause:
    """What the sensor loop waits on in place of the shutdown event: a wait that a wake cuts short."""

    def __init__(self, shutdown: threading.Event, woken: threading.Event) -> None:
        self._shutdown = shutdown
        self._woken = woken
        self._look_again: float | None = None

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds at most; whether it is the end."""
        until = monotonic() + timeout
        if self._look_again is not None:
            until, self._look_again = min(until, self._look_again), None
        while not self._shutdown.is_set() and (left := until - monotonic()) > 0:
            if self._woken.wait(min(left, SHUTDOWN_SECONDS)):
                self._woken.clear()
                self._look_again = monotonic() + SECOND_LOOK_SECONDS
                break
        return self._shutdown.is_set()


class WakingSensorDaemon(SensorDaemon):
    """Evaluates sensors when `woken` is set, and otherwise at Dagster's own pace."""

    def __init__(self, settings: Mapping[str, Any], woken: threading.Event) -> None:
        super().__init__(settings)
        self._woken = woken

    def core_loop(
        self, workspace_process_context: IWorkspaceProcessContext[Any], shutdown_event: threading.Event
    ) -> DaemonIterator:
        """Dagster's loop, which asks nothing of the event but to wait. At its end, ticks in flight end too.

        Dagster stops the threads that submit runs before those that evaluate sensors: a tick that is evaluated when the
        daemon is ended would fail, and be made again by the next daemon.
        """
        pause: Any = Pause(shutdown_event, self._woken)
        try:
            yield from super().core_loop(workspace_process_context, pause)
        finally:
            if shutdown_event.is_set() and self._threadpool_executor is not None:
                self._threadpool_executor.shutdown(wait=True, cancel_futures=True)
