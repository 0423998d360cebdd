"""How long a run may still wait for an S3 that does not answer: one allowance for all of its processes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

ALLOWANCE_SECONDS = 6.0
"""What the first captures that wait may wait, together."""

GRACE_SECONDS = 0.25
"""What each further one may wait: enough to see that S3 is back."""

LIMIT_SECONDS = 9.0
"""After this, nobody waits any more."""


def granted(spent: float) -> float:
    """Seconds that a capture may wait when its run has waited for so many."""
    if spent >= LIMIT_SECONDS:
        return 0.0
    return max(ALLOWANCE_SECONDS - spent, GRACE_SECONDS)


def spent_seconds(lines: Iterable[str], now: float) -> float:
    """Seconds in which at least one process waited.

    Args:
        lines: `ID begin|end TIME` of each wait; a process that was killed has noted no end.
        now: the time.
    """
    begins: dict[str, float] = {}
    ends: dict[str, float] = {}
    for line in lines:
        name, what, at = line.split()
        (begins if what == "begin" else ends)[name] = float(at)
    spent, until = 0.0, 0.0
    for name, begin in sorted(begins.items(), key=lambda item: item[1]):
        end = ends.get(name, min(now, begin + ALLOWANCE_SECONDS))
        spent += max(0.0, end - max(begin, until))
        until = max(until, end)
    return spent


class Patience:
    """A file beside the run's logs, where each of its processes notes when it waits."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._name = uuid.uuid4().hex

    def begin(self) -> float:
        """Note that this process waits now; returns how many seconds it may."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        self._note("begin")
        return granted(spent_seconds(lines, time.time()))

    def end(self, *, in_vain: bool) -> None:
        """Note that it waits no more. Once S3 has answered, what was spent before is forgotten."""
        if in_vain:
            self._note("end")
        else:
            self._file.unlink(missing_ok=True)

    def _note(self, what: str) -> None:
        with suppress(OSError), self._file.open("a") as file:
            file.write(f"{self._name} {what} {time.time():.3f}\n")
