"""`slipway gate`: the guard of the Docker socket, a service of the containers' runtime."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import click

from slipway import config
from slipway.config.errors import UserError
from slipway.gate import server
from slipway.gate.policy import Boundary


@click.command()
@click.option(
    "--engine",
    type=click.Path(path_type=Path),
    default=Path("/var/run/docker.sock"),
    show_default=True,
    help="The Docker Engine's socket.",
)
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    default=Path("/run/slipway/gate/docker.sock"),
    show_default=True,
    help="The socket that the daemon and the webserver use in its place.",
)
def command(engine: Path, socket: Path) -> None:
    """Pass on to the Docker Engine only what the run launcher uses."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    platform = config.current()
    boundary = Boundary(
        project=_variable("SLIPWAY_PROJECT"),
        network=_variable("SLIPWAY_DOCKER_NETWORK"),
        images={name: str(location.image) for name, location in platform.code_locations.items()},
        duckdb_files=frozenset(
            name for name, location in platform.code_locations.items() if location.duckdb_file
        ),
    )
    if not engine.is_socket():
        raise UserError(
            f"{engine} is no socket", "mount the Docker Engine's socket there: SLIPWAY_DOCKER_SOCKET names it"
        )
    asyncio.run(server.serve(boundary, engine, socket))


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UserError(f"{name} is not set", "docker-compose.yml sets it for the gate")
    return value
