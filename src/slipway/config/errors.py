"""Errors that are the user's to mend: what is wrong, where, and what to do."""

from __future__ import annotations

from typing import TextIO


class UserError(Exception):
    """A mistake in input or environment. The command line prints it without a traceback and exits with 2."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n{hint}")
        self.message = message
        self.hint = hint

    def show(self, stream: TextIO) -> None:
        """Print the error and what to do about it."""
        print(f"error: {self.message}", file=stream)
        if self.hint:
            print(f"help: {self.hint}", file=stream)
