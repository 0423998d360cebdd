"""Results as Markdown tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.rig.statistics import NOISY, noise, summary

RESULTS = Path(__file__).resolve().parents[1] / "results"

Columns = Mapping[str, Sequence[float]]
"""Samples in seconds, by what they are of."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is of numbers."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def samples(columns: Columns, baseline: str) -> str:
    """A table of samples: median, least, greatest, and the median as a share of the baseline's."""
    base = summary(columns[baseline]).median
    rows = []
    for name, values in columns.items():
        found = summary(values)
        rows.append(
            (
                name,
                f"**{found.median:.2f} s**",
                f"{found.least:.2f} s",
                f"{found.greatest:.2f} s",
                f"{found.median / base:.2f}",
                str(found.count),
            )
        )
    return table(("", "median", "least", "greatest", f"of {baseline}", "runs"), rows)


def breakdown(sides: Mapping[str, Sequence[Mapping[str, float]]], stages: Sequence[str]) -> str:
    """A table of stages: the median of each, in milliseconds, side by side."""
    rows = []
    for stage in stages:
        cells = []
        for runs in sides.values():
            values = [run[stage] for run in runs if stage in run]
            cells.append(f"{summary(values).median * 1000:.0f}" if values else "-")
        rows.append((stage, *cells))
    return table(("median of each stage, ms", *sides), rows)


def machine(loops: Sequence[float]) -> str:
    """One sentence on whether the machine was quiet."""
    found = noise(loops)
    verdict = (
        "the machine was too busy with other things to trust the times: repeat it on a quiet one"
        if found > NOISY
        else "the machine was quiet"
    )
    return (
        f"A fixed loop of Python took {min(loops) * 1000:.0f} ms at its best and {found:.2f} times that at its median "
        f"({len(loops)} times, between the runs): {verdict}."
    )


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result as JSON into `bench/results`, which git ignores."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return path
