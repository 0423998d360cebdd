"""`enabled: false`: the log of a run stays in its container."""

from __future__ import annotations

import docker
import pytest
from dagster import DagsterRunStatus

from launching import Launching
from slipway.launch import sweep
from slipway.launch.docker import container_name
from waiting import until

pytestmark = pytest.mark.docker


def test_without_s3_a_log_stays_in_its_container(launcher: Launching, engine: docker.DockerClient) -> None:
    run_id = launcher.run("talking")
    launcher.says(run_id, "holding on")
    container = engine.containers.get(container_name(run_id))

    def log() -> str:
        _, output = container.exec_run(["sh", "-c", "cat /tmp/dagster-compute-logs/*/compute_logs/*.out"])
        return output.decode()

    until(lambda: log() == "something to keep\n", 30, log)
    launcher.instance.run_launcher.terminate(run_id)
    assert launcher.status(run_id) is DagsterRunStatus.CANCELED
    # Its own output has it too, which is what `docker logs` shows.
    assert b"something to keep" in container.logs()
    sweep(launcher.instance)
