"""`slipway images`: every image that the platform is made of on Kubernetes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from slipway import config
from slipway.config import loader
from slipway.ops.compose import builds
from slipway.ops.images import needed


@click.command()
@click.option(
    "--platform",
    "file",
    type=click.Path(path_type=Path),
    help="The platform.yaml; $SLIPWAY_PLATFORM or ./platform.yaml unless given.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print an array of objects: image, source to copy it from, keys."
)
@click.option("--build", is_flag=True, help="Print a Compose file that builds those that are made here.")
def command(file: Path | None, as_json: bool, build: bool) -> None:
    """List every image that the platform is made of on Kubernetes, with kubernetes.imageRegistry applied.

    A cluster without a way out needs them in a registry that it reaches. `docker compose config --images` lists those of
    the compose file.
    """
    platform = loader.load(file) if file else config.current()
    if build:
        click.echo(json.dumps(builds(platform), indent=2))
        return
    found = needed(platform)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
        return
    for name in sorted({one.image for one in found}):
        click.echo(name)
