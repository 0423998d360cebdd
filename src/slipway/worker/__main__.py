"""Executes one run and ends: `python -m slipway.worker [--join FILE…] [--data-limit BYTES] ARGUMENTS`.

It takes its limits first, before Dagster and the user's code are imported.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from slipway.worker import limits


def main(arguments: Sequence[str]) -> None:
    """Take the limits, then run what `dagster api execute_run` runs. The exit code is 1 when the run failed."""
    parser = argparse.ArgumentParser(prog="python -m slipway.worker", description="Execute one run.")
    parser.add_argument(
        "--join", action="append", default=[], type=Path, metavar="FILE", help="cgroup.procs to enter"
    )
    parser.add_argument("--data-limit", type=int, metavar="BYTES", help="size limit of each process's data")
    parser.add_argument("arguments", help="Dagster's ExecuteRunArgs as JSON")
    options = parser.parse_args(arguments)

    # Until Dagster installs its own handler, and as process 1 of a container, SIGTERM would be ignored.
    signal.signal(signal.SIGTERM, _end)
    limits.join(options.join)
    if options.data_limit is not None:
        limits.limit_data(options.data_limit)

    from dagster._cli.api import execute_run_command

    execute_run_command.main([options.arguments], standalone_mode=False)


def _end(signum: int, _frame: object) -> None:
    sys.exit(128 + signum)


if __name__ == "__main__":
    main(sys.argv[1:])
