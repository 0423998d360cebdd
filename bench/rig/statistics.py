"""Samples and what is said of them: pure."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NOISY = 1.25
"""How much longer the fixed loop may take at its median than its least CPU time before the machine counts as noisy."""


@dataclass(frozen=True)
class Summary:
    """Median, least and greatest of a sample, in its own unit."""

    median: float
    least: float
    greatest: float
    count: int


def summary(values: Sequence[float]) -> Summary:
    """Summarise a sample.

    Raises:
        ValueError: it is empty.
    """
    if not values:
        raise ValueError("a sample without values")
    return Summary(statistics.median(values), min(values), max(values), len(values))


@dataclass(frozen=True)
class Loop:
    """What a fixed amount of work took, in seconds."""

    wall: float
    cpu: float


def noise(loops: Sequence[Loop]) -> float:
    """How much longer the fixed loop took at its median than the CPU time it needs at best; 1 is a quiet machine.

    By the wall clock alone, a machine that is busy all the time would seem quiet.
    """
    return summary([loop.wall for loop in loops]).median / summary([loop.cpu for loop in loops]).least


def phases(count: int, generator: random.Random) -> list[float]:
    """Fractions of an interval, in random order: one from each of `count` equal parts of it.

    What waits for an interval to pass takes a time that depends on when in it one begins. With the same number of
    beginnings in each part, a few repetitions tell as much as many that are left to chance.
    """
    found = [(number + generator.random()) / count for number in range(count)]
    generator.shuffle(found)
    return found
