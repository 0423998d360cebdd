"""What platform.yaml says of how much runs at once, on real runs: the queue, and a pool over several processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterRunStatus

from launching import Launching
from slipway.config.errors import UserError
from slipway.config.loader import load
from slipway.launch import process
from slipway.ops.bootstrap_pools import ensure_pools
from waiting import until


class Limits:
    """The section `concurrency` of the launcher's platform.yaml."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._before = file.read_text()

    def are(self, text: str) -> None:
        self._file.write_text(f"{self._before}\nconcurrency: {text}\n")

    def restore(self) -> None:
        self._file.write_text(self._before)


@pytest.fixture
def limits(platform_file: Path) -> Iterator[Limits]:
    section = Limits(platform_file)
    yield section
    section.restore()


def holding(file: Path, op: str) -> dict[str, Any]:
    return {op: {"config": {"until": str(file)}}}


def test_the_queue_holds_the_limits_as_they_are_now(launcher: Launching, limits: Limits, tmp_path: Path):
    go = tmp_path / "go"
    limits.are("{max_concurrent_runs: 2, tags: {team: {values: {night: 0}}}}")
    of_the_night = launcher.submit(
        "holding_no_pool", config=holding(go, "hold_no_pool"), tags={"team": "night"}
    )
    runs = [launcher.submit("holding_no_pool", config=holding(go, "hold_no_pool")) for _ in range(4)]

    def waiting() -> int:
        launcher.dequeue()
        return [launcher.status(run) for run in runs].count(DagsterRunStatus.QUEUED)

    assert (waiting(), waiting()) == (2, 2)
    limits.are("{max_concurrent_runs: 3, tags: {team: {values: {night: 0}}}}")
    assert (waiting(), waiting()) == (1, 1)
    limits.are("{max_concurrent_runs: many}")
    with pytest.raises(UserError, match=r"concurrency\.max_concurrent_runs: is text"):
        launcher.dequeue()
    limits.are("{max_concurrent_runs: 0}")
    assert waiting() == 1
    limits.are("{max_concurrent_runs: 10, tags: {team: {values: {night: 0}}}}")
    assert waiting() == 0
    assert launcher.status(of_the_night) is DagsterRunStatus.QUEUED
    limits.are("{max_concurrent_runs: 10}")
    launcher.dequeue()
    go.touch()
    assert [launcher.finished(run) for run in (*runs, of_the_night)] == [DagsterRunStatus.SUCCESS] * 5


def test_the_ui_shows_the_limits_of_platform_yaml(launcher: Launching, limits: Limits):
    limits.are("{max_concurrent_runs: 17, default_pool_limit: 3, tags: {team: {each_value: 5}}}")
    found = launcher.asked(
        "{instance {runQueueConfig {maxConcurrentRuns tagConcurrencyLimitsYaml}"
        " poolConfig {defaultPoolLimit poolGranularity}}}"
    )["instance"]
    assert found["poolConfig"] == {"defaultPoolLimit": 3, "poolGranularity": "op"}
    assert found["runQueueConfig"]["maxConcurrentRuns"] == 17
    assert yaml.safe_load(found["runQueueConfig"]["tagConcurrencyLimitsYaml"]) == [
        {"key": "team", "value": {"applyLimitPerUniqueValue": True}, "limit": 5}
    ]


def test_a_pool_of_two_holds_over_processes_and_a_killed_run_leaves_it(
    launcher: Launching, limits: Limits, platform_file: Path, state: Path, tmp_path: Path
):
    limits.are("{pools: {lathe: 2}}")
    assert "The pool lathe has a limit of 2" in list(ensure_pools(load(platform_file), os.environ))
    go = tmp_path / "go"
    first, second = (launcher.run("holding", config=holding(go, "hold")) for _ in range(2))
    launcher.says(first, "has its place")
    launcher.says(second, "has its place")
    third = launcher.run("holding", config=holding(go, "hold"))
    launcher.says(third, "lathe")
    pool = launcher.instance.event_log_storage.get_concurrency_info("lathe")
    assert (pool.active_slot_count, pool.slot_count, pool.pending_run_ids) == (2, 2, {third})
    assert "has its place" not in launcher.story(third)

    os.killpg(process.Records(state).read(first).pid, signal.SIGKILL)
    assert launcher.finished(first) is DagsterRunStatus.FAILURE

    def third_has_it() -> bool:
        launcher.free_pools()
        return any("has its place" in message for message in launcher.messages(third))

    until(third_has_it, 60, lambda: launcher.story(third))
    assert launcher.status(second) is DagsterRunStatus.STARTED
    go.touch()
    assert [launcher.finished(run) for run in (second, third)] == [DagsterRunStatus.SUCCESS] * 2


def test_runs_know_the_default_of_pools(launcher: Launching, limits: Limits, tmp_path: Path):
    limits.are("{default_pool_limit: 2}")
    go = tmp_path / "go"
    runs = [launcher.run("holding_unnamed_pool", config=holding(go, "hold_unnamed_pool")) for _ in range(2)]
    for run in runs:
        launcher.says(run, "has its place")
    assert launcher.instance.event_log_storage.get_concurrency_info("drill").slot_count == 2
    go.touch()
    assert [launcher.finished(run) for run in runs] == [DagsterRunStatus.SUCCESS] * 2
