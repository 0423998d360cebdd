"""Faults of Dagster's own DockerRunLauncher that may not occur here, one test each.

Those that need no container are tried in the process runtime, by the integration tests of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.launcher import WorkerStatus
from docker.models.containers import Container

from launching import Launching
from run_containers import container_of, ended
from slipway.launch import sweep
from waiting import until

pytestmark = pytest.mark.docker

WAITING = {"wait": {"config": {"seconds": 300}}}


@pytest.fixture(autouse=True)
def _swept(launcher: Launching) -> Iterator[None]:
    yield
    sweep(launcher.instance)


def assert_removed(engine: docker.DockerClient, container: Container) -> None:
    with pytest.raises(docker.errors.NotFound):
        engine.containers.get(container.id)
    (scratch,) = (mount for mount in container.attrs["Mounts"] if mount["Destination"] == "/tmp")
    with pytest.raises(docker.errors.NotFound):
        engine.volumes.get(scratch["Name"])


def test_a_run_that_ended_well_a_moment_ago_is_not_failed(
    launcher: Launching, engine: docker.DockerClient
) -> None:
    """Fault: a container that exited with 0 while monitoring holds its run as STARTED counts as failed."""
    run_id = launcher.run("waiting", config={"wait": {"config": {"seconds": 2}}})
    launcher.says(run_id, "holding on")
    seen = launcher.instance.get_run_by_id(run_id)
    assert seen is not None
    assert seen.status is DagsterRunStatus.STARTED
    assert ended(engine, run_id).attrs["State"]["ExitCode"] == 0
    assert launcher.instance.run_launcher.check_run_worker_health(seen).status is WorkerStatus.SUCCESS


def test_a_paused_container_is_a_run_that_is_well(launcher: Launching, engine: docker.DockerClient) -> None:
    """Fault: every state but `running` counts as failed."""
    run_id = launcher.run("waiting", config=WAITING)
    launcher.says(run_id, "holding on")
    container = container_of(engine, run_id)
    container.pause()
    try:
        assert launcher.is_healthy(run_id)
        launcher.monitor()
        sweep(launcher.instance)
        assert launcher.status(run_id) is DagsterRunStatus.STARTED
    finally:
        container.unpause()
    launcher.instance.run_launcher.terminate(run_id)


def test_each_container_has_the_labels_of_its_own_run(
    launcher: Launching, engine: docker.DockerClient
) -> None:
    """Fault: launches share one dict of labels, so a container can carry those of another run."""
    runs = {launcher.run(job, config=WAITING): job for job in ("waiting", "waiting_in_a_step_process")}
    labels = {run_id: container_of(engine, run_id).labels for run_id in runs}
    for run_id in runs:
        launcher.instance.run_launcher.terminate(run_id)
    for run_id, job in runs.items():
        assert labels[run_id]["dagster/run_id"] == run_id
        assert labels[run_id]["dagster/job_name"] == job


def test_a_runs_own_tag_decides_over_its_container(launcher: Launching, engine: docker.DockerClient) -> None:
    """Fault: run tags are ignored, so one size fits all."""
    run_id = launcher.run("waiting", config=WAITING, tags={"slipway/profile": "medium"})
    host = container_of(engine, run_id).attrs["HostConfig"]
    launcher.instance.run_launcher.terminate(run_id)
    assert host["Memory"] == 2 * 2**30
    assert launcher.tags(run_id)["slipway/profile_source"] == "run"


def test_a_step_process_out_of_memory_is_told_although_the_container_exits_in_order(
    launcher: Launching, engine: docker.DockerClient
) -> None:
    """Fault: the step's process is killed, the run's own process ends in order, and nothing says why."""
    run_id = launcher.run("eating_in_a_step_process", config={"eat": {"config": {"mebibytes": 1500}}})
    state = ended(engine, run_id).attrs["State"]
    assert state["OOMKilled"]
    assert state["ExitCode"] != 137
    sweep(launcher.instance)
    assert launcher.status(run_id) is DagsterRunStatus.FAILURE
    assert "Out of memory: the kernel killed" in launcher.story(run_id)


def test_a_container_is_removed_with_its_volume_once_state_and_logs_are_read(
    launcher: Launching, engine: docker.DockerClient
) -> None:
    """Fault: exited containers stay for ever, and so do their anonymous volumes."""
    run_id = launcher.run("vanishing")
    container = ended(engine, run_id)
    sweep(launcher.instance)
    assert "exit code 3" in launcher.failure(run_id)
    assert "about to vanish" in launcher.failure(run_id)
    assert_removed(engine, container)


def test_a_container_that_ends_while_the_daemon_is_gone_is_settled_by_the_next_one(
    launcher: Launching, engine: docker.DockerClient
) -> None:
    """The new daemon knows nothing but the instance: reason and last words are kept, and nothing is left."""
    well = launcher.run("waiting", config={"wait": {"config": {"seconds": 0}}})
    vanished = launcher.run("vanishing")
    killed = launcher.run("waiting", config=WAITING)
    launcher.says(killed, "holding on")
    container_of(engine, killed).kill()
    containers = [ended(engine, run_id) for run_id in (well, vanished, killed)]
    statuses = [launcher.status(run_id) for run_id in (well, vanished, killed)]
    assert statuses == [DagsterRunStatus.SUCCESS, DagsterRunStatus.STARTED, DagsterRunStatus.STARTED]

    with DagsterInstance.from_ref(launcher.instance.get_ref()) as next_one:
        assert next_one.run_launcher is not launcher.instance.run_launcher
        sweep(next_one)

    assert launcher.status(well) is DagsterRunStatus.SUCCESS
    assert "exit code 3" in launcher.failure(vanished)
    assert "about to vanish" in launcher.failure(vanished)
    assert "killed by SIGKILL" in launcher.failure(killed)
    for container in containers:
        assert_removed(engine, container)


def test_a_missing_image_is_an_error_and_never_a_pull(
    launcher: Launching, engine: docker.DockerClient, image: str
) -> None:
    """Fault: an image that is not there is pulled while the run waits."""
    built = engine.images.get(image)
    engine.images.remove(image, force=True)
    try:
        run_id = launcher.run("waiting")
    finally:
        built.tag(image)
    message = launcher.failure(run_id)
    assert f"image '{image}' of code location 'launched' is not on this host" in message
    assert "docker compose build" in message


def test_an_engine_that_does_not_answer_fails_no_run(
    launcher: Launching, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fault: health is UNKNOWN when the engine does not answer for a moment, and monitoring fails the live run."""
    run_id = launcher.run("waiting", config=WAITING)
    launcher.says(run_id, "holding on")
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
        blind = type(launcher.instance.run_launcher)()
        blind.register_instance(launcher.instance)
        patch.setattr(launcher.instance, "_run_launcher", blind)
        launcher.monitor()
        sweep(launcher.instance)
        assert blind.check_run_worker_health(launcher.instance.get_run_by_id(run_id)).transient
    assert launcher.status(run_id) is DagsterRunStatus.STARTED
    launcher.instance.run_launcher.terminate(run_id)


def test_a_run_cannot_write_to_its_image_nor_reach_the_engine(
    launcher: Launching, engine: docker.DockerClient
) -> None:
    """Fault: it mounts what it is told to, the engine's socket too."""
    run_id = launcher.run("waiting", config=WAITING)
    launcher.says(run_id, "holding on")
    container = container_of(engine, run_id)
    assert container.exec_run(["touch", "/opt/location/new"]).exit_code != 0
    assert container.exec_run(["touch", "/tmp/new"]).exit_code == 0
    assert container.exec_run(["test", "-e", "/var/run/docker.sock"]).exit_code != 0
    launcher.instance.run_launcher.terminate(run_id)
    until(lambda: launcher.status(run_id) is DagsterRunStatus.CANCELED, 30)
