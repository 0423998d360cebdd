"""`slipway daemon`: Dagster's daemons and the landing intake."""

from __future__ import annotations

import os
import sys

import click

from slipway.ops.workspace import write


@click.command()
def command() -> None:
    """Run schedules, sensors, the run queue and the landing intake. `slipway up` and docker-compose.yml start it."""
    os.execv(sys.executable, [sys.executable, "-m", "slipway.daemon", "-w", str(write(os.environ))])  # noqa: S606
