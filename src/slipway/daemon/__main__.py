"""`python -m slipway.daemon -w workspace.yaml`: Dagster's daemon with the platform's own loops.

SIGTERM and SIGINT end it in order: the loops first, then the code servers that it started.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any, NoReturn

from dagster import DagsterInstance
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.controller import (
    DagsterDaemonController,
    create_daemons_from_instance,
    daemon_controller_from_instance,
)
from dagster._daemon.daemon import DagsterDaemon, SensorDaemon
from dagster._utils.interrupts import capture_interrupts, raise_interrupts_as, setup_interrupt_handlers
from sqlalchemy.exc import OperationalError

from slipway import config, identity
from slipway.config.errors import UserError
from slipway.daemon.definitions import DefinitionsDaemon
from slipway.daemon.landing import LandingDaemon
from slipway.daemon.retries import OtherRetries
from slipway.daemon.sensors import WakingSensorDaemon
from slipway.daemon.sweeper import SweepDaemon
from slipway.launch import interrupt, requeue

CHECK_SECONDS = 5


def daemons(instance: DagsterInstance) -> Iterator[DagsterDaemon[Any]]:
    """Those that Dagster needs for this instance, and ours."""
    arrived = Event()
    for daemon in create_daemons_from_instance(instance):
        match daemon:
            case EventLogConsumerDaemon():
                yield OtherRetries()
            case SensorDaemon():
                yield WakingSensorDaemon(instance.get_sensor_settings(), arrived)
            case _:
                yield daemon
    yield LandingDaemon(arrived)
    yield SweepDaemon()
    yield DefinitionsDaemon()


def run(workspace_files: Sequence[str]) -> None:
    """Run all daemons until a signal comes.

    Raises UserError when the storage is not the one that catalogue and ledger describe.
    """
    logging.getLogger("slipway").setLevel(logging.INFO)
    try:
        identity.check(config.current(), os.environ)
    except identity.StorageUnreachable as error:
        logging.getLogger("slipway").warning("%s; landings wait until it answers", error.message)
    with DagsterInstance.get() as instance:
        with raise_interrupts_as(KeyboardInterrupt):
            again = requeue(instance)
        if again:
            logging.getLogger("slipway").info(
                "queued again, their launch was cut short: %s", ", ".join(again)
            )
        with daemon_controller_from_instance(
            instance,
            workspace_load_target=WorkspaceFileTarget(list(workspace_files)),
            gen_daemons=daemons,
            code_server_log_level="warning",
        ) as controller:
            try:
                keep(controller)
            finally:
                interrupt(instance)


def keep(controller: DagsterDaemonController) -> NoReturn:
    """Watch over the daemons until a signal raises KeyboardInterrupt.

    This is the controller's own loop without its check of heartbeats, which warns of every daemon that Dagster does
    not itself require. A daemon whose thread has ended ends the process with an error, here as there.
    """
    refreshed_at = time.time()
    while True:
        with raise_interrupts_as(KeyboardInterrupt):
            time.sleep(CHECK_SECONDS)
            controller.check_daemon_threads()
            refreshed_at = controller.check_workspace_freshness(refreshed_at)


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
    except OperationalError as error:
        UserError(
            f"Postgres does not answer: {str(error.orig).strip().splitlines()[-1]}",
            "check the postgres section of platform.yaml, and whether that server runs",
        ).show(sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
