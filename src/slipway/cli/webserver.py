"""`slipway webserver`: Dagster's webserver on the platform's code locations."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from slipway.ops.workspace import write


@click.command()
@click.option(
    "--host",
    default=lambda: "0.0.0.0" if os.environ.get("SLIPWAY_RUNTIME") == "docker" else "127.0.0.1",  # noqa: S104 - a container's own network
    help="Address to listen on. Default: 127.0.0.1, in a container all of its own.",
)
@click.option("--port", type=int, default=3000, show_default=True)
def command(host: str, port: int) -> None:
    """Serve the UI of the platform. `slipway up` and docker-compose.yml start it."""
    program = str(Path(sys.executable).with_name("dagster-webserver"))
    os.execv(program, [program, "--host", host, "--port", str(port), "--workspace", str(write(os.environ))])  # noqa: S606
