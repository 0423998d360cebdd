"""`python -m bench [NAME…]`: runs every benchmark of this folder, or those that are named.

A benchmark is a module here with a function `main()`. BENCH_QUICK=1 has the ones against stock Dagster measure once.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.rig import session
from bench.rig.failure import BenchmarkFailed
from bench.rig.progress import say


def benchmarks() -> list[str]:
    """Names of all benchmarks."""
    found = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in found if not module.ispkg and not module.name.startswith("_"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when all were measured, 1 when one could not be, 2 for a name that is none."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run benchmarks.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(benchmarks())}; all by default"
    )
    names = parser.parse_args(arguments).names or benchmarks()
    if unknown := sorted(set(names) - set(benchmarks())):
        say(f"error: no benchmark is called {', '.join(unknown)}; there are {', '.join(benchmarks())}")
        return 2
    # A benchmark may have arguments of its own, which are not ours.
    sys.argv = sys.argv[:1]
    failed = 0
    signal.signal(signal.SIGTERM, _end)
    try:
        for name in names:
            say(f"benchmark {name}")
            try:
                failed += bool(importlib.import_module(f"bench.{name}").main())
            except BenchmarkFailed as error:
                say(f"error: {error}")
                failed += 1
    finally:
        session.close()
    return 1 if failed else 0


def _end(signum: int, _frame: object) -> None:
    """What is up is taken down, as at Ctrl-C."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())
