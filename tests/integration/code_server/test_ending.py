"""A code server that is told to end finishes what it is asked, on every runtime; on Kubernetes it answers a while longer.

This is the contract with Dagster too: that its server ends by an interrupt, and then waits for the calls in flight.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import SensorExecutionArgs

from slipway import draining
from waiting import until

DEFINITIONS = """
import os
import time
from pathlib import Path

import dagster as dg

if Path("slow").exists():
    Path("loading").touch()
    while True:
        time.sleep(0.05)


@dg.op
def work() -> None: ...


@dg.job
def job() -> None:
    work()


@dg.sensor(job=job)
def slow() -> dg.SkipReason:
    Path("ticking").touch()
    while not Path("go").exists():
        time.sleep(0.05)
    return dg.SkipReason(f"in order, with {os.environ['KEY']}")


defs = dg.Definitions(jobs=[job], sensors=[slow])
"""

PLATFORM = """
code_locations:
  shop: {path: ., image: {repository: r, tag: t}, env: {KEY: {file: secret}}}
"""


class Server:
    """A code server of a project with a sensor whose tick waits for a file."""

    def __init__(self, project: Path, port: int, process: subprocess.Popen[str]) -> None:
        self.project = project
        self.port = port
        self.process = process
        self.client = DagsterGrpcClient(host="127.0.0.1", port=port)

    def answers(self) -> bool:
        try:
            self.client.get_server_id(timeout=5)
        except DagsterUserCodeUnreachableError:
            return False
        return True

    def tick(self, instance: DagsterInstance) -> Any:
        """What the sensor returns."""
        origin = RemoteRepositoryOrigin(
            GrpcServerCodeLocationOrigin(host="127.0.0.1", port=self.port, location_name="shop"),
            "__repository__",
        )
        return self.client.external_sensor_execution(
            SensorExecutionArgs(
                repository_origin=origin,
                instance_ref=instance.get_ref(),
                sensor_name="slow",
                last_tick_completion_time=None,
                last_run_key=None,
                cursor=None,
            )
        )


@contextmanager
def server(project: Path, runtime: str) -> Iterator[Server]:
    (project / "shop").mkdir()
    (project / "shop" / "__init__.py").touch()
    (project / "shop" / "definitions.py").write_text(DEFINITIONS)
    (project / "platform.yaml").write_text(PLATFORM)
    (project / "secret").write_text(" a secret \n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "slipway.code_server", "--host", "127.0.0.1", "--port", str(port)],
        cwd=project,
        env={
            **os.environ,
            "SLIPWAY_RUNTIME": runtime,
            "SLIPWAY_LOCATION": "shop",
            "SLIPWAY_PLATFORM": "platform.yaml",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Server(project, port, process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("runtime", ["docker", "kubernetes"])
def test_a_tick_in_flight_ends_as_if_nothing_was(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "instance").mkdir()
    with (
        DagsterInstance.local_temp(str(tmp_path / "instance")) as instance,
        server(tmp_path, runtime) as found,
    ):
        until(found.answers, 60)
        results: list[Any] = []
        tick = threading.Thread(target=lambda: results.append(found.tick(instance)))
        tick.start()
        until((tmp_path / "ticking").exists, 60)
        told = time.monotonic()
        found.process.send_signal(signal.SIGTERM)
        until(lambda: not found.answers(), 30, "it still takes new calls")
        answered = time.monotonic() - told
        assert found.process.poll() is None
        # a signal too many cuts nothing short
        found.process.send_signal(signal.SIGTERM)
        (tmp_path / "go").touch()
        tick.join(30)
        assert results, "the tick has not ended"
        assert "in order, with a secret" in results[0]
        assert found.process.wait(30) == 0
        if runtime == "kubernetes":
            assert draining.SECONDS <= answered < draining.SECONDS + 5
        else:
            assert answered < 4


def test_it_ends_at_once_while_it_loads(tmp_path: Path) -> None:
    (tmp_path / "slow").touch()
    with server(tmp_path, "docker") as found:
        until((tmp_path / "loading").exists, 60)
        found.process.send_signal(signal.SIGTERM)
        assert found.process.wait(20) == 0


def test_a_server_has_the_id_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pods of one revision serve the same: nobody loads it again for every other call."""
    monkeypatch.setenv("SLIPWAY_SERVER_ID", "revision-7")
    with server(tmp_path, "docker") as found:
        until(found.answers, 60)
        assert found.client.get_server_id() == "revision-7"
