"""Making the sample: jafgen's year, cut into the files that arrive day by day."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from slipway.config.errors import UserError
from slipway.demo_data.encoding import Encoder
from slipway.demo_data.plan import COLUMNS, DAILY, Row, editions, suffix

Progress = Callable[[str, int, int], None]
"""Told what is being done (`make` or `land`), how much of it is done, and how much there is."""


def make_sample(folder: Path, progress: Progress | None = None) -> Path:
    """The sample's files, made unless they are there already; takes about ten seconds.

    Args:
        folder: where samples are kept; it may be deleted at any time.
        progress: called now and then.

    Returns:
        The folder with one folder per arrival day.

    Raises:
        UserError: jafgen is not installed.
    """
    target = folder / f"jaffle-shop-{fingerprint()}"
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as scratch:
        workshop = Path(scratch)
        subprocess.run(
            [sys.executable, "-m", "slipway.demo_data.simulate", scratch],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        made = workshop / "made"
        cut(
            {entity: _read(workshop / "jaffle-data" / f"raw_{entity}.csv") for entity in COLUMNS},
            made,
            progress,
        )
        if not target.is_dir():
            shutil.move(made, target)
    return target


def cut(entities: dict[str, list[Row]], target: Path, progress: Progress | None = None) -> None:
    """Write the files of all entities, `<arrival day>/<entity>/<business day>.<format>`, under a folder."""
    days = by_day(entities)
    first = min(day for per_day in days.values() for day in per_day)
    total = sum(len(per_day) for per_day in days.values())
    done = 0
    with Encoder() as encoder:
        for entity, per_day in days.items():
            for day, rows in sorted(per_day.items()):
                index = (day - first).days
                form = suffix(entity, index)
                for edition in editions(entity, index, rows, per_day.get(day - timedelta(days=1), [])):
                    data = encoder.encode(entity, edition.rows, form)
                    path = target / f"{edition.day:03}" / entity / f"{day}.{form}"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data[: -len(data) // 3] if edition.broken else data)
                done += 1
                if progress is not None:
                    progress("make", done, total)


def by_day(entities: dict[str, list[Row]]) -> dict[str, dict[date, list[Row]]]:
    """Each entity's rows by the day on which they became known."""
    ordered = {row["id"]: date.fromisoformat(row["ordered_at"][:10]) for row in entities["orders"]}
    first = min(ordered.values())
    known: dict[str, date] = {}
    for row in entities["orders"]:
        known[row["customer"]] = min(known.get(row["customer"], date.max), ordered[row["id"]])
    day_of: dict[str, Callable[[Row], date]] = {
        "orders": lambda row: ordered[row["id"]],
        "items": lambda row: ordered[row["order_id"]],
        "customers": lambda row: known[row["id"]],
        "tweets": lambda row: date.fromisoformat(row["tweeted_at"][:10]),
    }
    days: dict[str, dict[date, list[Row]]] = {}
    for entity, rows in entities.items():
        per_day: dict[date, list[Row]] = defaultdict(list)
        for row in rows:
            per_day[day_of[entity](row) if entity in DAILY else first].append(row)
        days[entity] = dict(per_day)
    return days


def fingerprint() -> str:
    """A short text that changes when the sample would: from this package's code and jafgen's version."""
    try:
        digest = hashlib.sha256(version("jafgen").encode())
    except PackageNotFoundError:
        raise UserError(
            "jafgen, which simulates the jaffle shop, is not installed", "install slipway[embedded]"
        ) from None
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
