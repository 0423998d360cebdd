"""`slipway workspace`: the workspace file of the running platform."""

from __future__ import annotations

import os

import click

from slipway.config import current
from slipway.ops import workspace


@click.command()
def command() -> None:
    """Print workspace.yaml, which follows from platform.yaml, for the runtime that runs here."""
    platform = current()
    click.echo(workspace.render(platform, workspace.addresses(platform, os.environ)), nl=False)
