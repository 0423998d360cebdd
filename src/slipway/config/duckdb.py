"""What DuckDB may take of a run's memory, and DuckDB's own grammar of sizes.

The arithmetic is here since a value given in platform.yaml is checked against it when the file is read.
"""

from __future__ import annotations

import difflib
import re

VARIABLES = (
    "DUCKDB_MEMORY_LIMIT",
    "DUCKDB_THREADS",
    "DUCKDB_TEMP_DIRECTORY",
    "DUCKDB_MAX_TEMP_DIRECTORY_SIZE",
    "DUCKDB_PRESERVE_INSERTION_ORDER",
)
"""Settings that a run has from its resource profile."""

MIB = 2**20
RESERVE = 256 * MIB
"""What the process holds beyond DuckDB's limit: its code, and DuckDB's memory outside of its buffer manager."""

HEAP_MINIMUM = 256 * MIB
HEAP_PERCENT = 20
LIMIT_PERCENT = 55
SMALLEST = 64 * MIB
"""Less than this is no working memory."""

SMALLEST_LIMIT = RESERVE + HEAP_MINIMUM + SMALLEST
"""The smallest memory limit of a run, in bytes."""

_UNITS = {
    **dict.fromkeys(("b", "byte", "bytes"), 1),
    **dict.fromkeys(("k", "kb", "kilobyte", "kilobytes"), 10**3),
    **dict.fromkeys(("m", "mb", "megabyte", "megabytes"), 10**6),
    **dict.fromkeys(("g", "gb", "gigabyte", "gigabytes"), 10**9),
    **dict.fromkeys(("t", "tb", "terabyte", "terabytes"), 10**12),
    **{"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40},
}
_SIZE = re.compile(r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes of a DuckDB size: `8GB` is 8 000 000 000, `8GiB` is 8 589 934 592.

    Raises:
        ValueError: DuckDB would refuse the text, or read it as no limit at all.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a size of DuckDB's, such as 512MB or 8GiB")
    unit = match[2].lower()
    if unit not in _UNITS:
        raise ValueError(
            f"'{text}' is not a size of DuckDB's; did you mean '{match[1]}{_nearest(unit)}'? "
            "(KB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of 1024)"
        )
    size = int(float(match[1]) * _UNITS[unit])
    if size >= 2**63:
        raise ValueError(f"'{text}' is more than DuckDB can count")
    return size


def heap(memory: int) -> int:
    """The Python heap's share of a run's memory limit, in bytes."""
    return max(memory * HEAP_PERCENT // 100, HEAP_MINIMUM)


def ceiling(memory: int) -> int:
    """The most that DuckDB's memory_limit may be under a run's memory limit, both in bytes; may be negative."""
    return memory - RESERVE - heap(memory)


def derived(memory: int) -> int:
    """DuckDB's memory_limit under a run's memory limit, both in bytes, in whole MiB; may be negative."""
    return min(memory * LIMIT_PERCENT // 100, ceiling(memory)) // MIB * MIB


def arithmetic(memory: int) -> str:
    """How the ceiling comes about, for people."""
    return (
        f"{mebibytes(memory)} - {mebibytes(RESERVE)} for the process - {mebibytes(heap(memory))} for Python's heap "
        f"({HEAP_PERCENT} %, at least {mebibytes(HEAP_MINIMUM)}) = {mebibytes(ceiling(memory))}"
    )


def mebibytes(size: int) -> str:
    """Bytes in MiB, to the unit."""
    return f"{size / MIB:.0f} MiB"


def format_size(size: int) -> str:
    """Bytes in DuckDB's grammar: whole MiB where they are, else plain bytes."""
    return f"{size // MIB}MiB" if size % MIB == 0 else f"{size}B"


def _nearest(unit: str) -> str:
    spelled = {
        "kib": "KiB",
        "mib": "MiB",
        "gib": "GiB",
        "tib": "TiB",
        "kb": "KB",
        "mb": "MB",
        "gb": "GB",
        "tb": "TB",
    }
    if not unit:
        return "B"
    close = difflib.get_close_matches(unit, list(spelled), n=1, cutoff=0.5)
    return spelled[close[0]] if close else "GB"
