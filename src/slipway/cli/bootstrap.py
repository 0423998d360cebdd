"""`slipway bootstrap`: make what the platform stands on."""

from __future__ import annotations

import os

import click

from slipway import config
from slipway.ops.bootstrap import WAIT_SECONDS, bootstrap


@click.command()
@click.option(
    "--wait",
    "wait_seconds",
    type=float,
    default=WAIT_SECONDS,
    show_default=True,
    help="Seconds to wait for Postgres and S3.",
)
def command(wait_seconds: float) -> None:
    """Create or update tables, buckets, queues and lake catalogues. Repeating it changes nothing."""
    bootstrap(config.current(), os.environ, click.echo, wait_seconds)
