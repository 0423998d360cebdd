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

from launching import Launching
from run_containers import container_of, ended
from slipway.config.quantity import readable
from slipway.launch import sweep

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _swept(launcher: Launching) -> Iterator[None]:
    yield
    sweep(launcher.instance)


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
    scratch, file = sorted(container.attrs["Mounts"], key=lambda mount: mount["Destination"])
    assert (scratch["Type"], scratch["Destination"]) == ("volume", "/tmp")
    assert (file["Type"], file["Destination"], file["RW"]) == ("volume", "/var/lib/slipway/duckdb", True)
    assert file["Name"] == f"{container.labels['slipway.project']}_duckdb_launched"
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
    assert engine.volumes.get(file["Name"])


def test_the_duckdb_file_outlives_its_runs_also_a_killed_one(
    launcher: Launching, engine: docker.DockerClient
):
    first = launcher.run("visiting")
    ended(engine, first)
    assert launcher.status(first) is DagsterRunStatus.SUCCESS, launcher.story(first)
    sweep(launcher.instance)

    killed = launcher.run("visiting", config={"visit": {"config": {"until": "/nowhere"}}})
    launcher.says(killed, "has the file")
    waiting = launcher.run("visiting_without_pool")
    launcher.says(
        waiting, "Waiting for /var/lib/slipway/duckdb/launched.duckdb: a process of another container"
    )
    container_of(engine, killed).kill()
    ended(engine, waiting)
    assert launcher.status(waiting) is DagsterRunStatus.SUCCESS, launcher.story(waiting)
    assert f"visits: ['{first}', '{waiting}']" in launcher.messages(waiting)


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


def starved(launcher: Launching, engine: docker.DockerClient, job: str, mebibytes: int) -> str:
    """A run that the kernel stops at the 640 MiB of its profile; its id."""
    run_id = launcher.run(
        job, config={"eat": {"config": {"mebibytes": mebibytes}}}, tags={"slipway/profile": "tight"}
    )
    assert ended(engine, run_id).attrs["State"]["OOMKilled"]
    return run_id


def test_a_step_process_out_of_memory_fails_its_run_with_that_reason_and_is_retried(
    launcher: Launching, engine: docker.DockerClient
):
    run_id = starved(launcher, engine, "eating_in_a_step_process", 560)
    # Before any sweep: the run's own processes have said it, and nobody takes the run for lost.
    assert launcher.status(run_id) is DagsterRunStatus.FAILURE
    reason = launcher.failure(run_id)
    assert reason.startswith("Out of memory: the kernel killed step 'eat', or a process of it,"), reason
    assert "at the memory limit of 640Mi of profile 'tight' (peak 6" in reason
    assert "MiB); it is retried on profile 'small' (retry 1 of 1)." in reason
    assert launcher.tags(run_id)["dagster/will_retry"] == "true"

    sweep(launcher.instance)
    retry = launcher.retried(run_id)
    container = ended(engine, retry)
    assert container.attrs["HostConfig"]["Memory"] == 2**30
    assert launcher.status(retry) is DagsterRunStatus.SUCCESS, launcher.story(retry) + str(container.logs())
    assert launcher.tags(retry)["slipway/profile"] == "small"
    assert launcher.tags(retry)["slipway/profile_source"] == "run"
    launcher.retry_pending()
    assert len(launcher.children(run_id)) == 1


def test_a_run_out_of_memory_is_retried_no_more_than_its_profile_says(
    launcher: Launching, engine: docker.DockerClient
):
    run_id = starved(launcher, engine, "eating", 1500)
    launcher.monitor()
    assert launcher.status(run_id) is DagsterRunStatus.FAILURE
    reason = launcher.failure(run_id)
    assert "the kernel killed the run, or a process of it, at the memory limit of 640Mi" in reason
    assert "it is retried on profile 'small' (retry 1 of 1)" in reason

    retry = launcher.retried(run_id)
    assert ended(engine, retry).attrs["State"]["OOMKilled"]
    sweep(launcher.instance)
    reason = launcher.failure(retry)
    assert "at the memory limit of 1Gi of profile 'small'" in reason
    assert "this was retry 1 of 1 on a larger profile; the next larger profile is 'medium'" in reason
    assert launcher.tags(retry)["dagster/will_retry"] == "false"
    launcher.retry_pending()
    launcher.other_retries(retry)
    assert launcher.children(retry) == []


def test_a_run_that_got_over_a_kill_is_not_failed(launcher: Launching, engine: docker.DockerClient):
    run_id = launcher.run(
        "eating_once",
        config={"eat_once": {"config": {"mebibytes": 560}}},
        tags={"slipway/profile": "tight"},
    )
    assert ended(engine, run_id).attrs["State"]["OOMKilled"]
    sweep(launcher.instance)
    launcher.retry_pending()
    assert launcher.status(run_id) is DagsterRunStatus.SUCCESS, launcher.story(run_id)
    assert "slipway/out_of_memory" not in launcher.tags(run_id)


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
