"""How long a run may still wait for an S3 that does not answer: one allowance for all of its processes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

ALLOWANCE_SECONDS = 8.0


class Patience:
    """Seconds, kept in a file beside the run's logs, where each process of the run notes what it has spent."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def left(self) -> float:
        """Seconds that may still be spent."""
        try:
            return max(0.0, ALLOWANCE_SECONDS - sum(map(float, self._file.read_text().split())))
        except (FileNotFoundError, ValueError):
            return ALLOWANCE_SECONDS

    def spend(self, seconds: float) -> None:
        """Note that so much was spent in vain."""
        with suppress(OSError), self._file.open("a") as file:
            file.write(f"{seconds:.3f}\n")
