"""Runs as containers on a real engine: what they get, what they may not do, and what is said when they die."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from dagster import DagsterRunStatus
from dagster._core.launcher import WorkerStatus
from docker.models.containers import Container

from launching import Launching
from slipway.config.quantity import readable
from slipway.launch import sweep
from slipway.launch.docker import container_name

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _swept(launcher: Launching) -> Iterator[None]:
    yield
    sweep(launcher.instance)


def container_of(engine: docker.DockerClient, run_id: str) -> Container:
    return engine.containers.get(container_name(run_id))


def ended(engine: docker.DockerClient, run_id: str) -> Container:
    container = container_of(engine, run_id)
    container.wait(timeout=120)
    container.reload()
    return container


WAITING = {"wait": {"config": {"seconds": 300}}}


def test_a_run_is_a_container_with_its_profiles_limits(launcher: Launching, engine: docker.DockerClient):
    run_id = launcher.run("surroundings_job")
    container = ended(engine, run_id)
    assert launcher.status(run_id) is DagsterRunStatus.SUCCESS, launcher.story(run_id) + str(container.logs())

    host = container.attrs["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["MemoryReservation"]) == (2**30, 2**30, 2**29)
    assert (host["CpuPeriod"], host["CpuQuota"]) == (100_000, 100_000)
    assert host["PidsLimit"] == 512
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert container.attrs["Config"]["User"] == "10001:10001"
    (scratch,) = container.attrs["Mounts"]
    assert (scratch["Type"], scratch["Destination"]) == ("volume", "/tmp")
    assert container.labels["slipway.kind"] == "run"
    assert container.labels["slipway.location"] == "launched"
    assert container.labels["dagster/run_id"] == run_id

    found = launcher.materialization("surroundings")
    assert json.loads(found["duckdb"]) == {
        "memory_limit": "512.0 MiB",
        "threads": 1,
        "temp_directory": "/tmp/duckdb",
        "max_temp_directory_size": "2.0 GiB",
        "preserve_insertion_order": False,
    }
    assert found["identity"] == "10001:10001"
    assert found["location_env"] == "plain"
    assert found["location_secret"] == "s3cret"
    assert found["foreign"] == ""
    assert found["dagster"].startswith("1.12.")
    assert not any(
        entry.startswith(("DAEMON_SECRET", "OTHER_VALUE")) for entry in container.attrs["Config"]["Env"]
    )

    assert found["slipway/profile"] == "small"
    assert found["slipway/memory"] == "1Gi"
    assert found["slipway/duckdb_memory_limit"] == "512MiB"

    volume = scratch["Name"]
    sweep(launcher.instance)
    with pytest.raises(docker.errors.NotFound):
        container_of(engine, run_id)
    with pytest.raises(docker.errors.NotFound):
        engine.volumes.get(volume)


def test_limits_are_capped_to_the_engines_host_with_a_warning(
    launcher: Launching, engine: docker.DockerClient
):
    run_id = launcher.run("surroundings_job", tags={"slipway/profile": "transform"})
    container = ended(engine, run_id)
    info = engine.info()
    assert container.attrs["HostConfig"]["Memory"] == info["MemTotal"]
    assert container.attrs["HostConfig"]["CpuQuota"] == info["NCPU"] * 100_000
    assert len([message for message in launcher.messages(run_id) if message.startswith("Warning: ")]) == 2
    assert json.loads(launcher.materialization("surroundings")["duckdb"])["threads"] == info["NCPU"]


def test_a_memory_request_above_the_host_is_refused(launcher: Launching, engine: docker.DockerClient):
    run_id = launcher.run("waiting", tags={"slipway/profile": "impossible"})
    assert "requests 4096 GiB" in launcher.failure(run_id)
    assert f"this host has {readable(engine.info()['MemTotal'])}" in launcher.failure(run_id)


@pytest.mark.parametrize("job", ["eating", "eating_in_a_step_process"])
def test_out_of_memory_is_said(launcher: Launching, engine: docker.DockerClient, job: str):
    run_id = launcher.run(job, config={"eat": {"config": {"mebibytes": 1500}}})
    container = ended(engine, run_id)
    assert container.attrs["State"]["OOMKilled"]
    sweep(launcher.instance)
    assert launcher.status(run_id) is DagsterRunStatus.FAILURE
    expected = "memory limit of 1Gi of profile 'small'; the next larger profile is 'medium'"
    assert any(expected in message for message in launcher.messages(run_id)), launcher.story(run_id)


def test_monitoring_learns_of_an_out_of_memory_kill(launcher: Launching, engine: docker.DockerClient):
    run_id = launcher.run("eating", config={"eat": {"config": {"mebibytes": 1500}}})
    ended(engine, run_id)
    launcher.monitor()
    assert launcher.status(run_id) is DagsterRunStatus.FAILURE
    assert "Out of memory" in launcher.failure(run_id)


@pytest.mark.parametrize("job", ["waiting", "waiting_in_a_step_process"])
def test_termination_lets_the_run_end_in_order(launcher: Launching, engine: docker.DockerClient, job: str):
    run_id = launcher.run(job, config=WAITING)
    launcher.says(run_id, "holding on")
    assert launcher.instance.run_launcher.terminate(run_id)
    assert launcher.status(run_id) is DagsterRunStatus.CANCELED
    assert "let go" in launcher.messages(run_id)
    assert container_of(engine, run_id).attrs["State"]["Status"] == "exited"


def test_a_run_can_be_terminated_before_it_has_imported_anything(
    launcher: Launching, engine: docker.DockerClient
):
    run_id = launcher.run("waiting", config=WAITING)
    assert launcher.instance.run_launcher.terminate(run_id)
    assert launcher.status(run_id) is DagsterRunStatus.CANCELED
    # 137 would be the end of the grace.
    assert container_of(engine, run_id).attrs["State"]["ExitCode"] != 137


def test_a_refusal_of_the_gate_is_the_runs_failure_reason(launcher: Launching):
    run = launcher.create("waiting")
    origin = run.job_code_origin
    foreign = origin._replace(
        repository_origin=origin.repository_origin._replace(container_image="postgres:17")
    )
    run = launcher.instance.add_run(run._replace(run_id=str(uuid.uuid4()), job_code_origin=foreign))
    launcher.launch(run)
    assert "the gate refused" in launcher.failure(run.run_id)
    assert "postgres:17" in launcher.failure(run.run_id)


def test_a_launch_waits_for_a_gate_that_restarts(
    launcher: Launching, gate: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    socket = tmp_path / "late.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    late = threading.Timer(2, lambda: socket.symlink_to(gate.removeprefix("unix://")))
    late.start()
    run_id = launcher.run("waiting", config=WAITING)
    late.join()
    launcher.says(run_id, "holding on")
    launcher.instance.run_launcher.terminate(run_id)


def test_a_removed_container_fails_its_run(launcher: Launching, engine: docker.DockerClient):
    run_id = launcher.run("waiting", config=WAITING)
    launcher.says(run_id, "holding on")
    container_of(engine, run_id).remove(v=True, force=True)
    health = launcher.instance.run_launcher.check_run_worker_health(launcher.instance.get_run_by_id(run_id))
    assert health.status is WorkerStatus.FAILED
    assert "removed from outside" in health.msg
    launcher.instance.report_run_failed(launcher.instance.get_run_by_id(run_id))


def test_a_container_that_was_launched_before_is_left_alone(launcher: Launching, engine: docker.DockerClient):
    run = launcher.create("waiting", config=WAITING)
    launcher.launch(run)
    first = container_of(engine, run.run_id).id
    launcher.launch(run)
    assert container_of(engine, run.run_id).id == first
    launcher.instance.run_launcher.terminate(run.run_id)
