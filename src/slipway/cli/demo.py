"""`slipway demo`: the platform with sample data, from nothing to a mart."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from slipway.launch.process import describe_limit_mechanism
from slipway.ops.processes import demo
from slipway.ops.processes.ending import Ended, Ending
from slipway.ops.processes.laptop import Laptop
from slipway.ops.processes.state import State

SHOWN_ROWS = 12


@click.command()
@click.option("--once", is_flag=True, envvar="ONCE", help="End after the result, on a terminal too.")
@click.option(
    "--ui-port",
    type=click.IntRange(0, 65535),
    envvar="SLIPWAY_UI_PORT",
    default=3000,
    show_default=True,
    help="Port of the UI; 0 takes a free one.",
)
def command(once: bool, ui_port: int) -> None:
    """Start the platform afresh, land sample files and show the tables that come of them."""
    began = time.monotonic()
    ending = Ending(with_parent=True)
    console = Console()
    root = state_root(os.environ)
    platform_file = Path(os.environ.get("SLIPWAY_PLATFORM") or "platform.yaml")

    def report(text: str) -> None:
        console.print(Text(f"[{time.monotonic() - began:5.1f} s] {text}"))

    report(describe_limit_mechanism())
    shown = False
    try:
        with Laptop(
            platform_file,
            State(root / "demo", root / "cache"),
            ui_port,
            report,
            ending,
            fresh=True,
            keep=False,
        ) as laptop:
            demo.landing_of(laptop.platform)
            laptop.begin("sample", demo.making_command(laptop.state.sample))
            laptop.start()
            for name, error in laptop.broken_locations().items():
                report(f"code location {name} did not load: {error.strip()}")
            report("waiting for the sample files")
            laptop.finish("sample")
            report(f"UI: {laptop.url}")
            _follow(console, laptop, demo.Sample(laptop.platform, laptop.env, laptop.state.sample))
            _show(console, *demo.mart(laptop))
            shown = True
            report(f"done. UI: {laptop.url}")
            if once or not console.is_terminal:
                return
            report(f"in another shell, for `slipway sql` and `aws s3 cp`: . {laptop.environment_file}")
            report("Ctrl-C ends everything")
            while True:
                laptop.keep()
    except Ended as ended:
        report(f"ended ({ended})")
        sys.exit(0 if shown else ended.code)


def state_root(env: Mapping[str, str]) -> Path:
    """The folder that the demo's own is in. A shell that took the addresses of an earlier demo names that one's."""
    root = Path(env.get("SLIPWAY_STATE") or ".slipway").absolute()
    return root.parent if root.name == "demo" and (root / "env").exists() else root


def _follow(console: Console, laptop: Laptop, sample: demo.Sample) -> None:
    """Show the progress until there is nothing left to wait for: in place on a terminal, else as lines."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            demo.watch(laptop, sample, lambda progress: live.update(Text(progress.line()), refresh=True))
        return
    last = [demo.Progress()]

    def say(progress: demo.Progress) -> None:
        if progress != last[0]:
            console.print(Text(progress.line()), soft_wrap=True)
            last[0] = progress

    demo.watch(laptop, sample, say)


def _show(console: Console, columns: list[str], rows: list[tuple[object, ...]]) -> None:
    table = Table(title=demo.MART, caption=f"the last {min(SHOWN_ROWS, len(rows))} of {len(rows)} rows")
    for column in columns:
        table.add_column(column)
    for row in rows[:SHOWN_ROWS]:
        table.add_row(*map(str, row))
    console.print(table)
