"""A scratch that is too small: DuckDB stays within it, and the error says whose it is and how to get more."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import duckdb
import pytest

from slipway.resources import LakeResource
from slipway.resources.duckdb import open_connection
from slipway.resources.scratch import full, naming_the_scratch

SORT = "CREATE TABLE sorted AS SELECT range AS x, hash(range) AS y FROM range(8000000) ORDER BY y"
MIB = 2**20


def environment(folder: Path, spill: str = "30MiB", scratch: str = "30Mi") -> dict[str, str]:
    return {
        "DUCKDB_MEMORY_LIMIT": "60MiB",
        "DUCKDB_THREADS": "1",
        "DUCKDB_PRESERVE_INSERTION_ORDER": "false",
        "DUCKDB_TEMP_DIRECTORY": str(folder),
        "DUCKDB_MAX_TEMP_DIRECTORY_SIZE": spill,
        "SLIPWAY_RUN_METADATA": json.dumps({"slipway/profile": "tiny", "slipway/scratch": scratch}),
    }


def refused(size: str) -> str:
    """DuckDB's own words."""
    return (
        f"Out of Memory Error: failed to offload data block of size 256.0 KiB (26.9 MiB/{size} used).\n"
        "This limit was set by the 'max_temp_directory_size' setting."
    )


def test_duckdb_stays_within_the_scratch_and_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("SLIPWAY_PLATFORM", "SLIPWAY_PLATFORM_JSON", "SLIPWAY_LOCATION"):
        monkeypatch.delenv(variable, raising=False)
    for name, value in environment(tmp_path / "scratch").items():
        monkeypatch.setenv(name, value)
    sizes: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            sizes.append(size_of(tmp_path / "scratch"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    lake = LakeResource(local_folder=str(tmp_path / "lake"), local_name="shop")
    with (
        pytest.raises(duckdb.OutOfMemoryException, match="max_temp_directory_size") as caught,
        lake.connect() as connection,
    ):
        connection.execute(f"{SORT}".replace("TABLE", "TEMP TABLE"))
    done.set()
    watcher.join()
    assert caught.value.__notes__ == [
        "The run's scratch is full: profile 'tiny' lets DuckDB spill 30MiB (scratch 30Mi), and this query needs more. "
        "Raise limits.ephemeral-storage of the profile in platform.yaml, or launch the run with a profile that has "
        "more (run tag slipway/profile)."
    ]
    assert 15 * MIB < max(sizes) <= 30 * MIB
    assert list((tmp_path / "scratch").iterdir()) == []


def test_two_connections_spill_beside_each_other(tmp_path: Path) -> None:
    """Each may use the whole size: a size for both together would be shared out before anybody knows who needs it."""
    env = environment(tmp_path, spill="2GiB", scratch="2Gi")
    with open_connection(env) as one, open_connection(env) as other:
        for connection in (one, other):
            connection.execute(SORT.replace("8000000", "3000000"))
            assert connection.execute("SELECT sum(x) FROM sorted").fetchone() == (sum(range(3_000_000)),)
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_setting_of_ones_own_is_what_is_raised(tmp_path: Path) -> None:
    said = full(refused("27.0 MiB"), environment(tmp_path, "27MiB", "5Gi"))
    assert said is not None
    assert "lets DuckDB spill 27MiB (scratch 5Gi)" in said
    assert "Raise env.DUCKDB_MAX_TEMP_DIRECTORY_SIZE of the profile" in said


def test_a_full_disk_is_no_small_scratch(tmp_path: Path) -> None:
    said = full(refused("27.0 MiB"), environment(tmp_path, "5GiB", "5Gi"))
    assert said is not None
    assert said.startswith(
        "The disk under the run's scratch is full: DuckDB could not spill the 5GiB that profile 'tiny'"
    )


def test_outside_of_a_run_the_variable_is_named(tmp_path: Path) -> None:
    env = environment(tmp_path)
    del env["SLIPWAY_RUN_METADATA"]
    assert full(refused("30.0 MiB"), env) == (
        "DuckDB may spill 30MiB (DUCKDB_MAX_TEMP_DIRECTORY_SIZE), and this query needs more."
    )
    assert full(refused("30.0 MiB"), {}) is None


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    env = environment(tmp_path)
    with (
        pytest.raises(duckdb.ParserException) as caught,
        naming_the_scratch(env),
        open_connection(env) as connection,
    ):
        connection.execute("SELEKT 1")
    assert not hasattr(caught.value, "__notes__")


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.glob("**/*"):
        try:
            total += path.stat().st_size
        except OSError:  # gone in between
            continue
    return total
