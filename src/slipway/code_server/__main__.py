"""Serves the definitions of the project in the working directory: `python -m slipway.code_server`.

The server is Dagster's, and ends as Dagster's does: it finishes the calls that it is serving and takes no new ones.
Around it are the environment that platform.yaml gives to the location, and an orderly end at any moment.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from slipway import config, draining
from slipway.code_server import environment
from slipway.code_server.module import definitions_module
from slipway.config.errors import UserError

PORT = 4000
SERVER_ID = "SLIPWAY_SERVER_ID"
"""By which the clients tell one server's definitions from another's: the same for all that serve the same."""


INTERRUPTS = ("KeyboardInterrupt", "DagsterExecutionInterruptedError")


def command(location: str, module: str, host: str, port: int, server_id: str | None) -> list[str]:
    """Arguments of `dagster api grpc`."""
    return [
        "--lazy-load-user-code",
        "--host",
        host,
        "--port",
        str(port),
        "--module-name",
        module,
        "--location-name",
        location,
        *(("--fixed-server-id", server_id) if server_id else ()),
    ]


class Ending:
    """What signals do: after the time for draining, they interrupt whatever the main thread does."""

    def __init__(self, drain_seconds: float) -> None:
        self._drain_seconds = drain_seconds
        self._told = False
        self.interrupted = False

    def install(self) -> None:
        """Take the signals. Dagster takes SIGTERM over, for whatever SIGINT then does."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)

    def _tell(self, number: int, frame: FrameType | None) -> None:
        if self._drain_seconds == 0:
            self._interrupt(number, frame)
        elif not self._told:
            self._told = True
            signal.signal(signal.SIGALRM, self._interrupt)
            signal.setitimer(signal.ITIMER_REAL, self._drain_seconds)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # One end is enough: another interrupt would cut short what it waits for.
        for other in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(other, _ended_already)
        self.interrupted = True
        raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after a signal, 2 after a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m slipway.code_server", description="Serve a code location's definitions."
    )
    parser.add_argument(
        "--host",
        default="0.0.0.0",  # noqa: S104 - a container's own network
        help="address to listen on (default: all of its own)",
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on (default: {PORT})")
    options = parser.parse_args(arguments)
    # From the first moment on: as process 1 of a container it would else be deaf to signals.
    ending = Ending(draining.seconds(os.environ))
    ending.install()
    try:
        name = environment.location(os.environ)
        os.environ.update(environment.from_files(config.current(), name))
        module = definitions_module(Path.cwd(), name)
        serve(command(name, module, options.host, options.port, os.environ.get(SERVER_ID)))
    except UserError as error:
        error.show(sys.stderr)
        return 2
    except BaseException as error:
        # An interrupt may come as what click or Dagster make of it.
        if not ending.interrupted and type(error).__name__ not in INTERRUPTS:
            raise
    return 0


def serve(arguments: Sequence[str]) -> None:
    """Run Dagster's server until it is interrupted."""
    from dagster._cli.api import grpc_command

    grpc_command.main(list(arguments), prog_name="dagster api grpc", standalone_mode=False)


def _ended_already(number: int, frame: FrameType | None) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
