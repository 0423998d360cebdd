"""What to do about a batch whose run did not finish: a pure decision.

A fault of the surroundings (S3 or the database away, the run never launched) is no file's fault: the same files are
tried again, later each time. A fault of the step is narrowed down by halves to single files, and a single file
that fails twice is quarantined. When everything fails, the halving slows down instead of quarantining a landing
for a bug in its asset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TypeVar

Item = TypeVar("Item")

SINGLE_FILE_ATTEMPTS = 2
LOST_RUNS_BEFORE_SPLIT = 2
HOPELESS_AFTER = 5
HOPELESS_DELAY = timedelta(minutes=10)


class Fault(Enum):
    """Why a batch's run did not finish it."""

    STEP = "a step failed"
    LOST = "the run ended without a step's error"
    SURROUNDINGS = "a service that the run needs was away"
    CANCELLED = "the run was cancelled"
    UNREAD = "the run ended well without asking for its files"


@dataclass(frozen=True)
class Attempt:
    """A batch as far as its failure is concerned; kin are the batches that come of the same first one."""

    files: int
    attempt: int
    kin_done: int = 0
    kin_quarantined: int = 0


@dataclass(frozen=True)
class Retry:
    """The same files again, in a new batch, not before the delay."""

    delay: timedelta


@dataclass(frozen=True)
class Split:
    """The files in two new batches, not before the delay."""

    delay: timedelta | None = None


@dataclass(frozen=True)
class Quarantine:
    """No more: the file waits for a person."""


Verdict = Retry | Split | Quarantine


def verdict(fault: Fault, attempt: Attempt, runs: int = 1) -> Verdict:
    """What to do with the files of a batch that failed so, after as many runs of its own."""
    match fault:
        case Fault.SURROUNDINGS | Fault.UNREAD:
            return Retry(_backoff(attempt.attempt, first=5, most=300))
        case Fault.CANCELLED:
            return Retry(_backoff(attempt.attempt, first=60, most=3600))
        case Fault.LOST if attempt.attempt + runs - 1 < LOST_RUNS_BEFORE_SPLIT:
            return Retry(_backoff(attempt.attempt, first=5, most=300))
        case _:
            return _narrow(attempt)


def _narrow(attempt: Attempt) -> Verdict:
    hopeless = attempt.kin_quarantined >= HOPELESS_AFTER and attempt.kin_done == 0
    if attempt.files > 1:
        return Split(HOPELESS_DELAY if hopeless else None)
    if attempt.attempt < SINGLE_FILE_ATTEMPTS:
        return Retry(_backoff(attempt.attempt, first=5, most=300))
    return Quarantine()


def _backoff(attempt: int, *, first: int, most: int) -> timedelta:
    """Seconds that double with each attempt."""
    return timedelta(seconds=min(first * 2 ** min(attempt - 1, 20), most))


def halves(items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
    """Every other item: neighbours, which often share a fault, are parted."""
    return items[::2], items[1::2]
