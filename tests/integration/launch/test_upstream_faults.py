"""Faults of Dagster's own launchers and of its default settings that may not occur here; those of containers are beside the stack."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.monitoring import concurrency
from dagster._daemon.monitoring.run_monitoring import RESUME_RUN_LOG_MESSAGE

from launching import Launching, launching
from slipway.launch import process
from waiting import until

TESTS = Path(__file__).resolve().parents[2]
WAITING = {"wait": {"config": {"seconds": 300}}}

LOADS = """
import sys
from dagster import DagsterInstance
with DagsterInstance.get() as instance:
    instance.get_runs()
print(sorted(name for name in sys.modules if name.startswith(("slipway.launch", "docker"))))
"""


def killed(launcher: Launching, state: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run whose worker was killed while it was STARTED, with nobody who noticed; its id."""
    monkeypatch.setattr(launcher.instance.run_launcher._adapter, "_on_exit", lambda run_id: None)
    run_id = launcher.run("waiting", config=WAITING)
    launcher.says(run_id, "holding on")
    record = process.Records(state).read(run_id)
    assert record.pid is not None
    os.killpg(record.pid, signal.SIGKILL)
    until(lambda: not launcher.is_healthy(run_id), 10)
    return run_id


@pytest.fixture
def code_server() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A code server of the location in a process of its own, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen([*command, "-m", "launched.definitions"], cwd=TESTS, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(port), 60)
        yield server, port
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_run_of_the_implicit_asset_job_has_the_profile_of_its_assets(
    launcher: Launching, state: Path
) -> None:
    """Fault: LaunchRunContext gives no tags for it, so a profile on an asset is ignored."""
    run_id = launcher.run("__ASSET_JOB", assets=["heavy", "surroundings"])
    assert launcher.tags(run_id)["slipway/profile"] == "medium"
    assert launcher.tags(run_id)["slipway/profile_source"] == "asset"
    process.clear(state)


def test_a_job_without_a_selection_means_all_of_its_assets(launcher: Launching, state: Path) -> None:
    """Fault: `asset_selection` of a `define_asset_job` run is None, which reads as no asset at all."""
    run_id = launcher.run("everything")
    run = launcher.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.asset_selection is None
    assert run.tags["slipway/profile"] == "medium"
    process.clear(state)


def test_a_worker_that_is_gone_fails_its_run_and_is_not_resumed(
    launcher: Launching, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: with `max_resume_run_attempts`, a run that is killed again and again burns its resumes."""
    assert launcher.instance.run_monitoring_max_resume_run_attempts == 0
    run_id = killed(launcher, state, monkeypatch)
    launcher.monitor()
    assert launcher.status(run_id) is DagsterRunStatus.FAILURE
    assert not any(message.startswith(RESUME_RUN_LOG_MESSAGE) for message in launcher.messages(run_id))


def test_a_process_that_loads_the_instance_does_not_load_the_launcher(launcher: Launching) -> None:
    """Fault: with `max_resume_run_attempts`, each of them imports it, in a location's image too."""
    done = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_pool_slots_of_a_killed_run_are_free_again(
    launcher: Launching, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: `free_slots_after_run_end_seconds` is unset, and a crashed run keeps its slots for ever."""
    run_id = killed(launcher, state, monkeypatch)
    storage = launcher.instance.event_log_storage
    assert storage.initialize_concurrency_limit_to_default("faults")
    assert storage.claim_concurrency_slot("faults", run_id, "wait").is_claimed
    launcher.monitor()

    def free() -> int:
        launcher.free_pools()
        return storage.get_concurrency_info("faults").active_slot_count

    assert free() == 1
    seconds = launcher.instance.run_monitoring_settings["free_slots_after_run_end_seconds"]
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds + 1)
    monkeypatch.setattr(concurrency, "get_current_datetime", lambda: later)
    assert free() == 0


def test_a_killed_code_server_takes_no_run_with_it(
    launcher: Launching, code_server: tuple[subprocess.Popen[bytes], int], tmp_path: Path
) -> None:
    """Fault: with the default launcher the run is the server's child, and stays STARTED for ever."""
    server, port = code_server
    target = GrpcServerTarget(host="127.0.0.1", port=port, socket=None, location_name="launched")
    with launching(tmp_path, target) as harness:
        run_id = harness.run("waiting", config={"wait": {"config": {"seconds": 3}}})
        harness.says(run_id, "holding on")
        server.kill()
        server.wait()
        assert harness.status(run_id) is DagsterRunStatus.STARTED
        assert harness.finished(run_id) is DagsterRunStatus.SUCCESS, harness.story(run_id)


def test_the_waits_and_retries_that_dagster_leaves_at_their_defaults_are_set(launcher: Launching) -> None:
    """Fault: 5 s to dequeue, 120 s to notice a dead run, no second attempt while a code server restarts."""
    instance: DagsterInstance = launcher.instance
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, QueuedRunCoordinator)
    assert coordinator.dequeue_interval_seconds <= 1
    assert coordinator.get_run_queue_config().max_user_code_failure_retries > 0
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_poll_interval_seconds <= 10
