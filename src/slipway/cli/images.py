"""`slipway images`: what a cluster must be able to pull."""

from __future__ import annotations

import click

from slipway import config
from slipway.ops.images import images, in_registry


@click.command()
@click.option(
    "--original", is_flag=True, help="As the images are called outside of kubernetes.imageRegistry."
)
def command(original: bool) -> None:
    """Print every image that the platform runs on Kubernetes, one a line."""
    platform = config.current()
    registry = "" if original else platform.kubernetes.image_registry
    for image in images(platform):
        click.echo(in_registry(image, registry))
