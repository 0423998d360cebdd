"""Runs that share the DuckDB file of their location, as processes."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import duckdb
from dagster import DagsterRunStatus

from launching import Launching
from slipway.launch import process
from waiting import until


def test_runs_take_turns_by_the_pool_and_by_the_lock_where_one_forgets_it(
    launcher: Launching, state: Path, tmp_path: Path
):
    launcher.instance.event_log_storage.set_concurrency_slots("duckdb_launched", 1)
    file = state / "duckdb" / "launched" / "launched.duckdb"
    go = tmp_path / "go"
    first = launcher.run("visiting", config={"visit": {"config": {"until": str(go)}}})
    launcher.says(first, "has the file")
    second = launcher.run("visiting")
    forgetful = launcher.run("visiting_without_pool")
    launcher.says(second, "duckdb_launched")
    launcher.says(forgetful, f"Waiting for {file}: process {process.Records(state).read(first).pid}")
    assert not any("has the file" in message for message in launcher.messages(second))

    go.touch()
    runs = [first, second, forgetful]
    assert [launcher.finished(run) for run in runs] == [DagsterRunStatus.SUCCESS] * 3, launcher.story(second)
    with duckdb.connect(file, read_only=True) as connection:
        visits = connection.execute("SELECT run, opened, closed FROM visits ORDER BY opened").fetchall()
    assert {run for run, _, _ in visits} == set(runs)
    assert all(before[2] <= after[1] for before, after in itertools.pairwise(visits))
    warned = "visit_without_pool opens the location's DuckDB file outside of its pool"
    assert any(warned in message for message in launcher.messages(forgetful))
    assert not any("outside of its pool" in message for message in launcher.messages(second))


def test_the_file_of_a_killed_run_opens_again_and_its_place_in_the_pool_is_free(
    launcher: Launching, state: Path
):
    killed = launcher.run("visiting", config={"visit": {"config": {"until": "/nowhere"}}})
    launcher.says(killed, "has the file")
    os.killpg(process.Records(state).read(killed).pid, signal.SIGKILL)
    assert launcher.finished(killed) is DagsterRunStatus.FAILURE
    # what the daemon does free_slots_after_run_end_seconds later
    launcher.instance.event_log_storage.free_concurrency_slots_for_run(killed)
    after = launcher.run("visiting")
    assert launcher.finished(after) is DagsterRunStatus.SUCCESS, launcher.story(after)
    assert any(f"'{after}']" in message and killed not in message for message in launcher.messages(after))
    until(lambda: not list((state / "runs").glob("*")), 10)
