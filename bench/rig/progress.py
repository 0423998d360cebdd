"""Says what a benchmark does: on a terminal one line that changes, elsewhere a line for each thing done."""

from __future__ import annotations

import sys
import time

_BEGIN = time.monotonic()


def say(text: str) -> None:
    """A line that stays."""
    sys.stderr.write(f"{_clear()}{_elapsed()}  {text}\n")
    sys.stderr.flush()


def doing(text: str) -> None:
    """What is going on now; shown on a terminal only, until the next line."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{_clear()}{_elapsed()}  {text} …")
        sys.stderr.flush()


def _elapsed() -> str:
    minutes, seconds = divmod(int(time.monotonic() - _BEGIN), 60)
    return f"{minutes:2}:{seconds:02}"


def _clear() -> str:
    return "\r\033[K" if sys.stderr.isatty() else ""
