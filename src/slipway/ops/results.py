"""Query results as text: a plain table, JSON, CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Result:
    """What a statement gave back; no columns when it gives nothing."""

    columns: Sequence[str]
    rows: Sequence[tuple[Any, ...]]


def as_table(result: Result) -> str:
    """Columns under their names, numbers to the right, and the number of rows."""
    if not result.columns:
        return "done\n"
    cells = [[_cell(value) for value in row] for row in result.rows]
    widths = [
        max(len(text) for text in (name, *column))
        for name, column in zip(result.columns, _columns(cells, len(result.columns)), strict=True)
    ]
    numeric = [
        all(isinstance(value, int | float | Decimal) for value in column if value is not None)
        and bool(column)
        for column in _columns(result.rows, len(result.columns))
    ]

    def line(texts: Sequence[str]) -> str:
        parts = zip(texts, widths, numeric, strict=True)
        return "  ".join(
            text.rjust(width) if right else text.ljust(width) for text, width, right in parts
        ).rstrip()

    rule = "  ".join("-" * width for width in widths)
    count = f"({len(cells)} row{'' if len(cells) == 1 else 's'})"
    return "\n".join([line(result.columns), rule, *(line(row) for row in cells), count]) + "\n"


def as_json(result: Result) -> str:
    """An array with an object for each row. Decimals are numbers; dates, times and the like are texts; NaN and
    infinity, which JSON has not, are null."""
    rows = [dict(zip(result.columns, map(_plain, row), strict=True)) for row in result.rows]
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def printable(text: str) -> str:
    """A text on one line, with escapes for what a terminal would obey or hide: controls, line ends, directions."""
    escaped = text.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in escaped
    )


def as_csv(result: Result) -> str:
    """CSV with a header; NULL is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows(result.rows)
    return text.getvalue()


def _columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    return [[row[index] for row in rows] for index in range(count)]


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    return printable(value) if isinstance(value, str) else str(value)


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case bytes():
            return value.hex()
        case dict():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)
