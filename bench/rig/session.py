"""One pair of stacks for all benchmarks of a process."""

from __future__ import annotations

import os
from contextlib import ExitStack

from bench.rig.containers import Containers
from bench.rig.sides import Slipway, Stock, both

_open = ExitStack()
_sides: list[tuple[Stock, Slipway, Containers]] = []


def sides() -> tuple[Stock, Slipway, Containers]:
    """Both sides, brought up when they are first asked for, and what sees their runs' containers."""
    if not _sides:
        stock, slipway = _open.enter_context(both())
        _sides.append((stock, slipway, _open.enter_context(Containers())))
    return _sides[0]


def close() -> None:
    """Take down what was brought up."""
    _sides.clear()
    _open.close()


def repetitions(usual: int) -> int:
    """How often each side is measured: BENCH_QUICK asks for once, to see that the benchmark itself works."""
    return 1 if os.environ.get("BENCH_QUICK") else usual
