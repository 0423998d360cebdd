"""Runs that were launched and do not start end after `defaults.start_timeout`, on every runtime."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterRunStatus

from launching import Launching
from slipway.launch import process, requeue, sweep
from slipway.launch.adapter import EngineUnreachable, Obstacle, Phase, WorkerState


def launched_long_ago(launcher: Launching, run_id: str) -> None:
    launcher.instance.run_launcher._launches._launched[run_id] = time.time() - 181


def test_a_worker_that_does_not_come_to_its_run_is_ended(
    launcher: Launching, state: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(process, "STOP_GRACE_SECONDS", 0.5)
    run_id = launcher.run("waiting")
    record = process.Records(state).read(run_id)
    os.killpg(record.pid, signal.SIGSTOP)
    sweep(launcher.instance)
    assert launcher.status(run_id) is DagsterRunStatus.STARTING
    launched_long_ago(launcher, run_id)
    sweep(launcher.instance)
    assert launcher.failure(run_id) == (
        "The run did not start within 180 s of its launch. Its worker runs, and has not come to the run."
    )
    (event,) = launcher.instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE)
    assert event.dagster_event.job_failure_data.failure_reason.name == "START_TIMEOUT"
    assert list((state / "runs").glob(f"{run_id}*")) == []


def test_a_run_without_a_worker_waits_no_longer_than_that(launcher: Launching):
    run = launcher.create("waiting")
    launcher.starting(run)
    sweep(launcher.instance)
    assert launcher.status(run.run_id) is DagsterRunStatus.STARTING
    launched_long_ago(launcher, run.run_id)
    sweep(launcher.instance)
    assert launcher.failure(run.run_id).endswith("It has no worker any more.")


def test_a_run_that_is_being_launched_is_left_alone(launcher: Launching):
    run = launcher.create("waiting")
    launcher.starting(run)
    with launcher.instance.run_launcher._launches.launching(run.run_id):
        launched_long_ago(launcher, run.run_id)
        sweep(launcher.instance)
        assert launcher.status(run.run_id) is DagsterRunStatus.STARTING
    launcher.instance.report_run_canceled(run)


def test_reasons_that_alternate_are_told_once_each_also_by_another_daemon(
    launcher: Launching, monkeypatch: pytest.MonkeyPatch
):
    run = launcher.create("waiting")
    launcher.starting(run)
    one, two = Obstacle("one", "No room on 3 nodes."), Obstacle("two", "No such image.")
    for obstacle in (one, two, one, two, Obstacle("one", "No room on 4 nodes.")):
        state = WorkerState(Phase.PENDING, obstacle=obstacle)
        monkeypatch.setattr(launcher.instance.run_launcher._adapter, "state", lambda _, state=state: state)
        sweep(launcher.instance)
    launcher.forget()
    monkeypatch.setattr(
        launcher.instance.run_launcher._adapter, "state", lambda _: WorkerState(Phase.PENDING, obstacle=one)
    )
    sweep(launcher.instance)
    said = [message for message in launcher.messages(run.run_id) if "cannot start yet" in message]
    assert said == [
        "The run cannot start yet. No room on 3 nodes.",
        "The run cannot start yet. No such image.",
    ]
    launcher.instance.report_run_canceled(run)


def test_what_an_earlier_daemon_launched_is_decided_when_the_engine_is_back(
    launcher: Launching, monkeypatch: pytest.MonkeyPatch
):
    run = launcher.create("waiting")
    launcher.starting(run)
    launcher.forget()

    def away(_run_id: str) -> WorkerState:
        raise EngineUnreachable("away")

    with monkeypatch.context() as patch:
        patch.setattr(launcher.instance.run_launcher._adapter, "state", away)
        assert requeue(launcher.instance) == []
        sweep(launcher.instance)
        assert launcher.status(run.run_id) is DagsterRunStatus.STARTING
    sweep(launcher.instance)
    assert launcher.status(run.run_id) is DagsterRunStatus.QUEUED
    launcher.instance.report_run_canceled(run)


def test_dagsters_own_time_to_start_never_comes_first(launcher: Launching):
    assert launcher.instance.run_monitoring_start_timeout_seconds > 7200
