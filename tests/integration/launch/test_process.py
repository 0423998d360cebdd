"""Runs as processes: environment, limits, what is left afterwards, and what is said when they die."""

from __future__ import annotations

import json
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRunStatus
from dagster._core.launcher import WorkerStatus

from launching import Launching
from slipway.config.quantity import readable
from slipway.launch import cgroup, process, processes, requeue
from slipway.launch.adapter import Phase
from waiting import until

needs_cgroup = pytest.mark.skipif(cgroup.writable() is None, reason="no cgroup is writable here")


def test_a_run_has_its_profile_its_locations_environment_and_no_other(launcher: Launching, state: Path):
    run_id = launcher.run("surroundings_job")
    assert launcher.finished(run_id) is DagsterRunStatus.SUCCESS, launcher.story(run_id)
    found = launcher.materialization("surroundings")
    env = json.loads(found["env"])
    scratch = state / "runs" / f"{run_id}.scratch"

    assert found["location_env"] == "plain"
    assert found["location_secret"] == "s3cret"
    assert found["foreign"] == ""
    assert found["cwd"] == str(Path(__file__).parents[2])
    assert env["SLIPWAY_LOCATION"] == "launched"
    assert env["SLIPWAY_SCRATCH"] == str(scratch)
    assert "OTHER_VALUE" not in env["SLIPWAY_PLATFORM_JSON"]
    settings = json.loads(found["duckdb"])
    assert settings["threads"] == 1
    assert settings["memory_limit"] == "512.0 MiB"
    assert settings["temp_directory"] == f"{scratch}/duckdb"
    assert settings["preserve_insertion_order"] is False

    assert found["slipway/profile"] == "small"
    assert found["slipway/memory"] == "1Gi"
    assert found["slipway/duckdb_memory_limit"] == "512MiB"

    tags = launcher.tags(run_id)
    assert tags["slipway/profile"] == "small"
    assert tags["slipway/profile_source"] == "location"
    assert tags["slipway/memory"] == "1Gi"
    assert any("with profile 'small' (location)" in message for message in launcher.messages(run_id))
    until(lambda: not list((state / "runs").glob("*")), 10)


@pytest.mark.parametrize(
    ("arguments", "profile", "source"),
    [
        ({"job": "waiting"}, "small", "location"),
        ({"job": "tagged"}, "medium", "job"),
        ({"job": "tagged", "tags": {"slipway/profile": "small"}}, "small", "run"),
        ({"job": "everything"}, "medium", "asset"),
        ({"job": "everything", "assets": ["surroundings"]}, "small", "location"),
        ({"job": "everything", "assets": ["heavy"]}, "medium", "asset"),
        ({"job": "everything", "assets": ["heavy"], "tags": {"slipway/profile": "small"}}, "small", "run"),
    ],
)
def test_the_nearest_wish_decides(launcher: Launching, state: Path, arguments, profile, source):
    run_id = launcher.run(**arguments)
    assert launcher.tags(run_id)["slipway/profile"] == profile
    assert launcher.tags(run_id)["slipway/profile_source"] == source
    process.clear(state)


def test_a_re_execution_with_its_parents_tags_asks_for_nothing(launcher: Launching):
    parent = launcher.run("waiting")
    launcher.finished(parent)
    again = launcher.run("waiting", tags=dict(launcher.tags(parent)))
    assert launcher.tags(again)["slipway/profile_source"] == "location"
    other = launcher.run("waiting", tags={**launcher.tags(parent), "slipway/profile": "medium"})
    assert launcher.tags(other)["slipway/profile_source"] == "run"
    launcher.finished(again)
    launcher.finished(other)


def test_limits_above_the_host_are_lowered_with_a_warning(launcher: Launching):
    run_id = launcher.run("surroundings_job", tags={"slipway/profile": "transform"})
    assert launcher.finished(run_id) is DagsterRunStatus.SUCCESS, launcher.story(run_id)
    warnings = [message for message in launcher.messages(run_id) if message.startswith("Warning: ")]
    assert len(warnings) == 2
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    settings = json.loads(launcher.materialization("surroundings")["duckdb"])
    assert settings["threads"] == cores


def test_a_memory_request_above_the_host_is_refused_with_both_numbers(launcher: Launching):
    run_id = launcher.run("waiting", tags={"slipway/profile": "impossible"})
    assert launcher.status(run_id) is DagsterRunStatus.FAILURE
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    message = launcher.failure(run_id)
    assert "profile 'impossible' requests 4096 GiB" in message
    assert f"this host has {readable(host)}" in message


def test_an_unknown_profile_fails_the_run_and_names_the_known_ones(launcher: Launching):
    run_id = launcher.run("waiting", tags={"slipway/profile": "smal"})
    message = launcher.failure(run_id)
    assert "smal" in message
    for name in ("small", "medium", "transform", "impossible"):
        assert name in message


def test_a_run_is_launched_once(launcher: Launching, state: Path):
    run = launcher.create("waiting", config={"wait": {"config": {"seconds": 60}}})
    launcher.launch(run)
    (record,) = [process.Records(state).read(run.run_id)]
    launcher.launch(run)
    assert process.Records(state).read(run.run_id) == record
    assert launcher.instance.run_launcher.terminate(run.run_id)


@needs_cgroup
def test_a_larger_profile_takes_what_the_smaller_could_not(launcher: Launching):
    run_id = launcher.run(
        "eating", config={"eat": {"config": {"mebibytes": 1100}}}, tags={"slipway/profile": "medium"}
    )
    assert launcher.finished(run_id) is DagsterRunStatus.SUCCESS, launcher.story(run_id)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds nothing elsewhere")
def test_without_a_cgroup_the_data_limit_holds(launcher: Launching, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "_hierarchy", lambda: None)
    assert "RLIMIT_DATA" in process.describe_limit_mechanism()
    fits = launcher.run("surroundings_job")
    assert launcher.finished(fits) is DagsterRunStatus.SUCCESS, launcher.story(fits)


@pytest.mark.parametrize("job", ["waiting", "waiting_in_a_step_process"])
def test_termination_ends_the_run_in_order_and_leaves_nothing(launcher: Launching, state: Path, job: str):
    run_id = launcher.run(job, config={"wait": {"config": {"seconds": 300}}})
    launcher.says(run_id, "holding on")
    record = process.Records(state).read(run_id)
    assert launcher.instance.run_launcher.terminate(run_id)
    assert launcher.status(run_id) is DagsterRunStatus.CANCELED
    assert "let go" in launcher.messages(run_id)
    assert not processes.is_alive(record.pid, record.started)
    until(lambda: not list((state / "runs").glob("*")), 10)
    assert not launcher.instance.run_launcher.terminate(run_id)


def test_a_worker_that_vanishes_fails_its_run_with_its_last_words(launcher: Launching):
    run_id = launcher.run("vanishing")
    assert launcher.finished(run_id) is DagsterRunStatus.FAILURE
    assert "exit code 3" in launcher.failure(run_id)
    assert "about to vanish" in launcher.failure(run_id)


def test_after_a_restart_of_the_daemon_a_run_is_still_known(launcher: Launching, state: Path):
    run_id = launcher.run("waiting", config={"wait": {"config": {"seconds": 300}}})
    launcher.says(run_id, "holding on")
    record = process.Records(state).read(run_id)
    restarted = type(launcher.instance.run_launcher)()
    restarted.register_instance(launcher.instance)
    run = launcher.instance.get_run_by_id(run_id)
    assert restarted.check_run_worker_health(run).status is WorkerStatus.RUNNING

    os.killpg(record.pid, signal.SIGSTOP)
    assert restarted.check_run_worker_health(run).status is WorkerStatus.RUNNING
    os.killpg(record.pid, signal.SIGCONT)
    launcher.instance.run_launcher._adapter._on_exit = lambda run_id: None
    os.killpg(record.pid, signal.SIGKILL)
    until(lambda: restarted.check_run_worker_health(run).status is WorkerStatus.FAILED, 10)
    restarted.sweep()
    assert "killed or removed from outside" in launcher.failure(run_id)
    assert list((state / "runs").glob("*")) == []


def test_what_a_daemon_was_launching_when_it_was_killed_is_queued_again(launcher: Launching, state: Path):
    """A launch has begun; one left nothing yet, of another the record was written, and a third has its worker."""
    records = process.Records(state)
    runs = [launcher.create("waiting") for _ in range(2)]
    for run in runs:
        launcher.instance.report_dagster_event(
            DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, run.job_name), run_id=run.run_id
        )
    records.write(
        process.Record(
            run_id=runs[1].run_id,
            location="launched",
            launcher_pid=os.getpid(),
            launcher_started="another process with this pid",
            pid=None,
            started=None,
            scratch=str(records.scratch(runs[1].run_id)),
            group=None,
        )
    )
    alive = launcher.run("waiting", config={"wait": {"config": {"seconds": 300}}})

    launcher.instance.run_launcher.sweep()
    assert sorted(requeue(launcher.instance)) == sorted(run.run_id for run in runs)
    assert {launcher.status(run.run_id) for run in runs} == {DagsterRunStatus.QUEUED}
    assert requeue(launcher.instance) == []
    for run in runs:
        launcher.launch(run)
        assert launcher.finished(run.run_id) is DagsterRunStatus.SUCCESS, launcher.story(run.run_id)
    assert launcher.status(alive) is not DagsterRunStatus.QUEUED
    assert launcher.instance.run_launcher.terminate(alive)


def test_monitoring_leaves_a_run_alone_that_dagster_executes_in_a_process_of_its_own(launcher: Launching):
    """As `dagster job execute` does with the platform's instance."""
    run = launcher.create("waiting")
    launcher.instance.report_dagster_event(
        DagsterEvent(DagsterEventType.PIPELINE_START.value, run.job_name), run_id=run.run_id
    )
    launcher.monitor()
    assert launcher.status(run.run_id) is DagsterRunStatus.STARTED
    launcher.instance.report_run_failed(launcher.instance.get_run_by_id(run.run_id))


def test_clear_ends_every_recorded_run(launcher: Launching, state: Path):
    run_id = launcher.run("waiting", config={"wait": {"config": {"seconds": 300}}})
    launcher.says(run_id, "holding on")
    record = process.Records(state).read(run_id)
    assert process.clear(state) == 1
    assert not processes.is_alive(record.pid, record.started)
    assert process.clear(state) == 0


def test_what_a_launcher_made_and_could_not_start_is_cleared(tmp_path: Path):
    """A launcher killed in the middle of a launch has written what it was about to make."""
    hierarchy = process._hierarchy()
    group = cgroup.group(hierarchy, "unstarted") if hierarchy else None
    if group:
        group.create(2**28, Decimal(1))
    records = process.Records(tmp_path)
    records.write(
        process.Record(
            run_id="unstarted",
            location="launched",
            launcher_pid=os.getpid(),
            launcher_started="another process with this pid",
            pid=None,
            started=None,
            scratch=str(records.scratch("unstarted")),
            group=process._group_as_json(group) if group else None,
        )
    )
    records.scratch("unstarted").mkdir()
    adapter = process.ProcessAdapter(tmp_path, {}, on_exit=print)
    assert adapter.state("unstarted").phase is Phase.WAITING
    assert adapter.workers() == {"unstarted": Phase.WAITING}
    assert process.clear(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
    assert group is None or not group.memory.exists()
