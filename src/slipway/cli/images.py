"""`slipway images`: what a cluster must be able to pull."""

from __future__ import annotations

import json

import click

from slipway import config
from slipway.ops.compose import builds
from slipway.ops.images import images, in_registry


@click.command()
@click.option(
    "--original", is_flag=True, help="As the images are called outside of kubernetes.imageRegistry."
)
@click.option("--build", is_flag=True, help="A Compose file that builds those of them that are made here.")
def command(original: bool, build: bool) -> None:
    """Print every image that the platform runs on Kubernetes, one a line."""
    platform = config.current()
    if build:
        click.echo(json.dumps(builds(platform), indent=2))
        return
    registry = "" if original else platform.kubernetes.image_registry
    for image in images(platform):
        click.echo(in_registry(image, registry))
