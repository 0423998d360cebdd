"""Errors that are the user's to mend: what is wrong, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

Path = tuple[str | int, ...]
"""Where something is in platform.yaml: keys, and indices of lists."""


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


@dataclass(frozen=True)
class Problem:
    """One mistake in a file."""

    source: str
    line: int | None
    column: int | None
    path: Path
    message: str
    hint: str | None = None
    ambiguous: bool = False
    """Whether it is a scalar that YAML versions read differently."""

    def __str__(self) -> str:
        """One line: place, key, what is wrong, what to do."""
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        key = f"{dotted(self.path)}: " if self.path else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}: {key}{self.message}{hint}"

    def as_json(self) -> dict[str, str | int | None]:
        """For machines."""
        return {
            "file": self.source,
            "line": self.line,
            "column": self.column,
            "path": dotted(self.path),
            "message": self.message,
            "hint": self.hint,
        }


class PlatformFileError(UserError):
    """platform.yaml cannot be used; all that is wrong with it, in the order of the file."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{source} has {count}:\n{lines}", "docs/platform-yaml.md describes every key")


def dotted(path: Path) -> str:
    """A path as people write it; a key that is no plain name is quoted."""
    return ".".join(
        str(part) if isinstance(part, int) or re.fullmatch(r"[\w<>-]+", part) else f'"{part}"'
        for part in path
    )
