"""DuckDB's settings from a run's limits, and sizes in DuckDB's grammar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

MIB = 2**20
RESERVE = 256 * MIB
"""Bytes of a limit for what is neither DuckDB's nor Python's heap: code, threads, buffers of libraries."""

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*$")
_UNITS = {"": 1, "B": 1, "BYTE": 1, "BYTES": 1} | {
    spelling: base**power
    for power, letter in enumerate("KMGT", 1)
    for base, spellings in ((1000, (f"{letter}", f"{letter}B")), (1024, (f"{letter}IB",)))
    for spelling in spellings
}


def parse_size(text: str) -> int:
    """Bytes of a size as DuckDB reads it (8GB is 8 000 000 000, 8GiB is 8 * 2^30). Raises ValueError."""
    match = _SIZE.match(text)
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise ValueError(f"{text!r} is not a size that DuckDB reads; examples: 512MiB, 8GB")
    return int(Decimal(match[1]) * unit)


def format_size(value: int) -> str:
    """Bytes as DuckDB reads them, in whole MiB, rounded down."""
    return f"{value // MIB}MiB"


@dataclass(frozen=True)
class MemoryShare:
    """How a run's memory limit is divided; all in bytes."""

    limit: int

    @property
    def python(self) -> int:
        """The Python heap's share: a fifth of the limit, at least 256 MiB."""
        return max(self.limit // 5, 256 * MIB)

    @property
    def most(self) -> int:
        """The most that DuckDB may be given."""
        return max(self.limit - RESERVE - self.python, 0)

    @property
    def derived(self) -> int:
        """What DuckDB is given when nobody says: at 55 % of a container's limit sorts and joins spill before the
        kernel steps in, at DuckDB's own default of 80 % they do not."""
        return min(self.limit * 55 // 100, self.most)

    def arithmetic(self) -> str:
        """The bound in words, for messages."""
        return (
            f"{self.limit // MIB} MiB limit - {RESERVE // MIB} MiB - {self.python // MIB} MiB of Python's heap"
            f" = {self.most // MIB} MiB"
        )


def threads(cpu: Decimal) -> int:
    """Whole cores of the CPU limit, at least one."""
    return max(int(cpu.to_integral_value(ROUND_FLOOR)), 1)
