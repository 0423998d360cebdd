"""`slipway webserver`: Dagster's webserver on the platform's code locations."""

from __future__ import annotations

import os
import sys

import click

from slipway.config.errors import UserError
from slipway.ops.workspace import in_container, write


@click.command()
@click.option(
    "--host",
    default=lambda: "0.0.0.0" if in_container(os.environ) else "127.0.0.1",  # noqa: S104 - a container's own network
    help="Address to listen on. Default: 127.0.0.1, in a container all of its own.",
)
@click.option("--port", type=int, default=3000, show_default=True)
@click.option(
    "--path-prefix",
    envvar="SLIPWAY_UI_PATH",
    default="/",
    show_default=True,
    help="Path below which the UI is, where a proxy in front of it does not take it off.",
)
@click.option("--read-only", is_flag=True, help="Show everything and change nothing.")
def command(host: str, port: int, path_prefix: str, read_only: bool) -> None:
    """Serve the UI of the platform. `slipway up`, docker-compose.yml and the chart start it."""
    if not path_prefix.startswith("/"):
        raise UserError(
            f"the path of the UI is {path_prefix!r}, and must begin with a slash",
            "correct --path-prefix or SLIPWAY_UI_PATH",
        )
    options = ["--host", host, "--port", str(port), "--path-prefix", path_prefix.rstrip("/")]
    options += ["--read-only"] if read_only else []
    program = [sys.executable, "-m", "slipway.webserver", "-w", str(write(os.environ)), *options]
    os.execv(sys.executable, program)  # noqa: S606
