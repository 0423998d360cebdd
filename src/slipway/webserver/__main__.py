"""`python -m slipway.webserver -w workspace.yaml`: Dagster's webserver, which follows code servers that are replaced.

The application is Dagster's own, on Dagster's own workspace. SIGTERM and SIGINT end it in order.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._utils.interrupts import setup_interrupt_handlers
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import (
    DEFAULT_DB_STATEMENT_TIMEOUT,
    DEFAULT_POOL_MAX_OVERFLOW,
    DEFAULT_POOL_RECYCLE,
)
from dagster_webserver.version import __version__

from slipway import draining, rollout
from slipway.webserver.serving import serve


def run(workspace: str, host: str, port: int, prefix: str, *, read_only: bool) -> None:
    """Serve until a signal raises KeyboardInterrupt."""
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(
            DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW
        )
        with (
            WorkspaceProcessContext(
                instance,
                version=__version__,
                read_only=read_only,
                workspace_load_target=WorkspaceFileTarget([workspace]),
            ) as context,
            rollout.following(context),
        ):
            app = create_app_from_workspace_process_context(context, prefix)
            logging.getLogger("slipway").info("serving the UI on http://%s:%s%s", host, port, prefix)
            serve(app, host, port, draining.seconds(os.environ))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after a signal."""
    parser = argparse.ArgumentParser(
        prog="python -m slipway.webserver",
        description="Dagster's webserver, on the platform's code locations.",
    )
    parser.add_argument("-w", "--workspace", required=True, help="workspace file")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=3000, help="port to listen on")
    parser.add_argument("--path-prefix", default="", help="path below which the UI is")
    parser.add_argument("--read-only", action="store_true", help="show everything and change nothing")
    options = parser.parse_args(arguments)
    # From here on, and until uvicorn takes them, signals interrupt.
    setup_interrupt_handlers()
    configure_loggers()
    logging.getLogger("slipway").setLevel(logging.INFO)
    try:
        run(
            options.workspace,
            options.host,
            options.port,
            options.path_prefix,
            read_only=options.read_only,
        )
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
