"""The daemon that follows code servers that are replaced."""

from __future__ import annotations

from threading import Event
from typing import Any

from dagster._core.workspace.context import IWorkspaceProcessContext, WorkspaceProcessContext
from dagster._daemon.daemon import DaemonIterator, DagsterDaemon

from slipway import rollout

BEAT_SECONDS = 5


class DefinitionsDaemon(DagsterDaemon[IWorkspaceProcessContext[Any]]):
    """Sees to it that sensors and schedules are those of the code servers that answer now."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def daemon_type(cls) -> str:
        """How Dagster names the daemon in heartbeats and logs."""
        return "SLIPWAY_DEFINITIONS"

    def core_loop(
        self, workspace_process_context: IWorkspaceProcessContext[Any], shutdown_event: Event
    ) -> DaemonIterator:
        """Yields while others do the work, so that heartbeats go on."""
        if not isinstance(workspace_process_context, WorkspaceProcessContext):
            raise TypeError(f"a workspace of another kind: {type(workspace_process_context).__name__}")
        with rollout.following(workspace_process_context):
            while True:
                shutdown_event.wait(BEAT_SECONDS)
                yield None
