"""What checks find, and how they look into plain values of whatever shape."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from slipway.config.base import StrictModel
from slipway.config.errors import Path

Section = TypeVar("Section", bound=StrictModel)


@dataclass(frozen=True)
class Finding:
    """A mistake at a key; the loader adds the line."""

    path: Path
    message: str
    hint: str | None = None


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint with the nearest known word, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there is: {', '.join(known)}" if known else "there is none"


def at(data: Any, *path: str) -> Any:
    """The value at a path of keys; None where there is none."""
    for key in path:
        if not isinstance(data, dict):
            return None
        data = data.get(key)
    return data


def entries(data: Any, *path: str) -> list[tuple[str, Any]]:
    """The keys and values of the mapping at a path; none where there is no mapping."""
    section = at(data, *path)
    if not isinstance(section, dict):
        return []
    return [(key, value) for key, value in section.items() if isinstance(key, str)]


def items(data: Any, *path: str) -> list[tuple[int, Any]]:
    """The indices and items of the list at a path; none where there is no list."""
    section = at(data, *path)
    return list(enumerate(section)) if isinstance(section, list) else []


def valid(model: type[Section], raw: Any) -> Section | None:
    """A section, where the model takes it; what it refuses is another finding."""
    if raw is None:
        return None
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None
