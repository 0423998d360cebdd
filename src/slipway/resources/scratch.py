"""What DuckDB says when the run's scratch is too small, with the profile and the key that decide over it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb

from slipway.config import quantity
from slipway.config.duckdb import parse_size

SETTING = "max_temp_directory_size"
VARIABLE = "DUCKDB_MAX_TEMP_DIRECTORY_SIZE"

RUN_METADATA = "SLIPWAY_RUN_METADATA"
"""JSON object of texts that the launcher gives to a run: its profile and its limits."""

_USED = re.compile(r"/([0-9.]+ [A-Za-z]+) used\)")


@contextmanager
def naming_the_scratch(env: Mapping[str, str]) -> Iterator[None]:
    """Add a note to DuckDB's error when it can spill no more; the error itself stays as it is.

    Dagster shows notes with the error, in the UI too.
    """
    try:
        yield
    except duckdb.Error as error:
        if note := full(str(error), env):
            error.add_note(note)
        raise


def full(message: str, env: Mapping[str, str]) -> str | None:
    """What to tell about an error's message in a run with this environment; None when it is about something else."""
    size = env.get(VARIABLE, "").strip()
    if SETTING not in message or not size:
        return None
    tags = json.loads(env.get(RUN_METADATA, "{}"))
    name, scratch = tags.get("slipway/profile"), tags.get("slipway/scratch")
    if name is None:
        return f"DuckDB may spill {size} ({VARIABLE}), and this query needs more."
    if _disk_is_full(message, size):
        return (
            f"The disk under the run's scratch is full: DuckDB could not spill the {size} that profile '{name}' allows. "
            "Free space where the container engine, or the state folder, keeps its data."
        )
    key = "limits.ephemeral-storage" if _is_all(size, scratch) else f"env.{VARIABLE}"
    return (
        f"The run's scratch is full: profile '{name}' lets DuckDB spill {size} (scratch {scratch}), and this query needs "
        f"more. Raise {key} of the profile in platform.yaml, or launch the run with a profile that has more (run tag "
        "slipway/profile)."
    )


def _disk_is_full(message: str, size: str) -> bool:
    """Whether DuckDB stopped below the setting: it takes the disk's free space where that is less."""
    found = _USED.search(message)
    return found is not None and parse_size(found[1]) < parse_size(size) * 0.95


def _is_all(size: str, scratch: str) -> bool:
    """Whether DuckDB may use the whole scratch, so that only a larger one gives it more."""
    return parse_size(size) >= quantity.parse_bytes(scratch)
