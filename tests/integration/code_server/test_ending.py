"""A code server that is told to end finishes what it is asked, on every runtime; on Kubernetes it answers a while longer.

This is the contract with Dagster too: that its server ends by an interrupt, and then waits for the calls in flight.
"""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._grpc.types import SensorExecutionArgs

from code_servers import CodeServer, code_server
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


def tick(server: CodeServer, instance: DagsterInstance) -> str:
    """What the sensor returns."""
    origin = RemoteRepositoryOrigin(
        GrpcServerCodeLocationOrigin(host="127.0.0.1", port=server.port, location_name="shop"),
        "__repository__",
    )
    result: str = server.client.external_sensor_execution(
        SensorExecutionArgs(
            repository_origin=origin,
            instance_ref=instance.get_ref(),
            sensor_name="slow",
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=None,
        )
    )
    return result


@pytest.mark.parametrize("runtime", ["docker", "kubernetes"])
def test_a_tick_in_flight_ends_as_if_nothing_was(tmp_path: Path, runtime: str) -> None:
    project = tmp_path / "project"
    (tmp_path / "instance").mkdir()
    with (
        DagsterInstance.local_temp(str(tmp_path / "instance")) as instance,
        code_server(project, DEFINITIONS, SLIPWAY_RUNTIME=runtime) as server,
    ):
        until(server.answers, 60)
        results: list[str] = []
        ticking = threading.Thread(target=lambda: results.append(tick(server, instance)))
        ticking.start()
        until((project / "ticking").exists, 60)
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not server.answers(), 30, "it still takes new calls")
        answered = time.monotonic() - told
        assert server.process.poll() is None
        # a signal too many cuts nothing short
        server.process.send_signal(signal.SIGTERM)
        (project / "go").touch()
        ticking.join(30)
        assert results, "the tick has not ended"
        assert "in order, with a secret" in results[0]
        assert server.process.wait(30) == 0
        if runtime == "kubernetes":
            assert draining.SECONDS <= answered < draining.SECONDS + 5
        else:
            assert answered < 4


def test_it_ends_at_once_while_it_loads(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "slow").touch()
    with code_server(project, DEFINITIONS) as server:
        until((project / "loading").exists, 60)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def test_a_server_has_the_id_that_it_is_given(tmp_path: Path) -> None:
    """Two pods of one revision serve the same: nobody loads it again for every other call."""
    with code_server(tmp_path / "project", DEFINITIONS, SLIPWAY_SERVER_ID="revision-7") as server:
        until(server.answers, 60)
        assert server.client.get_server_id() == "revision-7"
