"""The daemon that clears away what finished runs leave, notices runs whose worker died, and retries what had too
little memory."""

from __future__ import annotations

from typing import Any

from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.daemon import DaemonIterator, IntervalDaemon

from slipway.daemon.retries import Retries
from slipway.launch import sweep

EVERY_SECONDS = 5


class SweepDaemon(IntervalDaemon[IWorkspaceProcessContext[Any]]):
    """Calls the launcher's sweep, and then retries what it may have found."""

    def __init__(self) -> None:
        super().__init__(interval_seconds=EVERY_SECONDS)
        self._retries = Retries()

    @classmethod
    def daemon_type(cls) -> str:
        """How Dagster names the daemon in heartbeats and logs."""
        return "SLIPWAY_SWEEP"

    def run_iteration(self, workspace_process_context: IWorkspaceProcessContext[Any]) -> DaemonIterator:
        """One sweep."""
        sweep(workspace_process_context.instance)
        yield None
        self._retries.make(workspace_process_context)
        yield None
