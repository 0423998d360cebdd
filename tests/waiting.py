"""Waiting for what takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.1


def until(
    condition: Callable[[], T | None], seconds: float, message: str | Callable[[], str] = "the condition"
) -> T:
    """Wait for a condition to be neither None nor false, and return what it then is."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {seconds} s: {message if isinstance(message, str) else message()}"
            )
        time.sleep(POLL_SECONDS)
    return result
