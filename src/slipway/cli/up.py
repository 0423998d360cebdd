"""`slipway up`: the platform as plain processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from slipway.launch.process import describe_limit_mechanism
from slipway.ops.processes.ending import Ended, Ending
from slipway.ops.processes.laptop import Laptop
from slipway.ops.processes.state import State


@click.command()
@click.option(
    "--ui-port",
    type=click.IntRange(0, 65535),
    envvar="SLIPWAY_UI_PORT",
    default=3000,
    show_default=True,
    help="Port of the UI; 0 takes a free one.",
)
@click.option("--fresh", is_flag=True, help="Begin with an empty database and an empty storage.")
def command(ui_port: int, fresh: bool) -> None:
    """Run the platform as processes of this machine, until Ctrl-C."""
    ending = Ending(with_parent=False)
    folder = Path(os.environ.get("SLIPWAY_STATE") or ".slipway").absolute()
    platform_file = Path(os.environ.get("SLIPWAY_PLATFORM") or "platform.yaml")
    click.echo(describe_limit_mechanism())
    up = False
    try:
        with Laptop(
            platform_file,
            State(folder, folder / "cache"),
            ui_port,
            click.echo,
            ending,
            fresh=fresh,
            keep=True,
        ) as laptop:
            laptop.start()
            up = True
            for name, error in laptop.broken_locations().items():
                click.echo(f"code location {name} did not load: {error.strip()}")
            click.echo(f"UI: {laptop.url}   (Ctrl-C ends everything; logs in {laptop.state.logs})")
            click.echo(f"in another shell, for `slipway sql` and `aws s3 cp`: . {laptop.environment_file}")
            while True:
                laptop.keep()
    except Ended as ended:
        click.echo(f"ended ({ended})")
        sys.exit(0 if up else ended.code)
