"""Results as Markdown tables and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.rig.statistics import NOISY, Loop, noise, summary

RESULTS = Path(__file__).resolve().parents[1] / "results"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"

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


def machine(loops: Sequence[Loop]) -> str:
    """One sentence on whether the machine was quiet."""
    found = noise(loops)
    verdict = (
        "the machine was too busy with other things to trust the times: repeat it on a quiet one"
        if found > NOISY
        else "the machine was quiet"
    )
    return (
        f"Between the runs a fixed loop of Python, which needs {min(loop.cpu for loop in loops) * 1000:.0f} ms of CPU, took "
        f"{found:.2f} times that at its median ({len(loops)} times): {verdict}."
    )


def publish(name: str, text: str) -> None:
    """Print a benchmark's result; put it into docs/performance.md too where BENCH_PUBLISH asks for it.

    Raises:
        ValueError: the page has no place for it.
    """
    print(f"\n{text}\n")
    if os.environ.get("BENCH_PUBLISH") and not os.environ.get("BENCH_QUICK"):
        PAGE.write_text(replaced(PAGE.read_text("utf-8"), name, text), "utf-8")


def replaced(page: str, name: str, text: str) -> str:
    """A page with the text in the place that `<!-- bench: NAME -->` and `<!-- /bench -->` mark.

    Raises:
        ValueError: there is no such place.
    """
    begin, end = f"<!-- bench: {name} -->", "<!-- /bench -->"
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"the page has no {begin} … {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result as JSON into `bench/results`, which git ignores."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return path
