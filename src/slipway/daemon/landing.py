"""The daemon that takes in what arrives in the landings."""

from __future__ import annotations

import os
from threading import Event
from typing import Any

from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.daemon import DaemonIterator, DagsterDaemon

from slipway import config
from slipway.config.connections import postgres_url
from slipway.database.engine import engine
from slipway.landing.watch import Watch


class LandingDaemon(DagsterDaemon[IWorkspaceProcessContext[Any]]):
    """Turns of the watch, one after the other, until the controller ends; `arrived` is set when files have."""

    def __init__(self, arrived: Event) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._arrived = arrived

    @classmethod
    def daemon_type(cls) -> str:
        """How Dagster names the daemon in heartbeats and logs."""
        return "SLIPWAY_LANDING"

    def core_loop(
        self, workspace_process_context: IWorkspaceProcessContext[Any], shutdown_event: Event
    ) -> DaemonIterator:
        """Yields after each turn, so that heartbeats go on."""
        platform = config.current()
        watch = Watch(platform, os.environ, engine(postgres_url(platform)), arrived=self._arrived.set)
        while not shutdown_event.is_set():
            watch.turn(shutdown_event.wait)
            yield None
