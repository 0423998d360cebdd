"""`python -m slipway.daemon -w workspace.yaml`: Dagster's daemon with the platform's own loops.

SIGTERM and SIGINT end it in order: the loops first, then the code servers that it started.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from dagster import DagsterInstance
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.controller import create_daemons_from_instance, daemon_controller_from_instance
from dagster._daemon.daemon import DagsterDaemon
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers

from slipway import config, identity
from slipway.config.errors import UserError
from slipway.daemon.landing import LandingDaemon
from slipway.daemon.sweeper import SweepDaemon


def daemons(instance: DagsterInstance) -> Iterator[DagsterDaemon[Any]]:
    """Those that Dagster needs for this instance, and ours."""
    yield from create_daemons_from_instance(instance)
    yield LandingDaemon()  # type: ignore[no-untyped-call]
    yield SweepDaemon()


def run(workspace_files: Sequence[str]) -> None:
    """Run all daemons until a signal comes.

    Raises UserError when the storage is not the one that catalogue and ledger describe.
    """
    logging.getLogger("slipway").setLevel(logging.INFO)
    try:
        identity.check(config.current(), os.environ)
    except identity.StorageUnreachable as error:
        logging.getLogger("slipway").warning("%s; landings wait until it answers", error.message)
    with (
        DagsterInstance.get() as instance,
        daemon_controller_from_instance(
            instance,
            workspace_load_target=WorkspaceFileTarget(list(workspace_files)),
            gen_daemons=daemons,
            code_server_log_level="warning",
        ) as controller,
    ):
        controller.check_daemon_loop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after a signal, 2 after a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m slipway.daemon", description="Dagster's daemon, and Slipway's."
    )
    parser.add_argument(
        "-w", "--workspace", action="append", required=True, help="workspace file; may be repeated"
    )
    options = parser.parse_args(arguments)
    setup_interrupt_handlers()
    try:
        with capture_interrupts():
            run(options.workspace)
    except KeyboardInterrupt:
        return 0
    except UserError as error:
        error.show(sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
