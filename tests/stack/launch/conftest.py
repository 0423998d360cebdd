"""The launcher on a real engine: a Postgres, a code server of the test image, and runs beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import psycopg2
import pytest
from dagster._core.workspace.load_target import GrpcServerTarget
from docker.models.containers import Container
from docker.models.networks import Network

import launched_image
from launching import PLATFORM, Launching, launching
from waiting import until

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "slipway-test/launched:latest"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=120)  # the engine itself: tests look behind the gate
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The test image; the engine's build cache keeps what was installed as long as the dependencies are the same."""
    context = tmp_path_factory.mktemp("image")
    launched_image.fill(context)
    engine.images.build(path=str(context), tag=IMAGE, rm=True)
    return IMAGE


@pytest.fixture(scope="session")
def network(engine: docker.DockerClient) -> Iterator[Network]:
    found = engine.networks.create(f"slipway-test-{uuid.uuid4().hex[:8]}")
    yield found
    found.remove()


@pytest.fixture(scope="session")
def project(engine: docker.DockerClient, network: Network) -> Iterator[str]:
    """The label of this session's runs; none of them may be left."""
    name = network.name
    yield name
    left = engine.containers.list(
        all=True, filters={"label": [f"slipway.project={name}", "slipway.kind=run"]}
    )
    for container in left:
        container.remove(v=True, force=True)
    for volume in engine.volumes.list(filters={"name": f"{name}_duckdb_"}):
        volume.remove()
    assert [container.name for container in left] == []


@pytest.fixture(scope="session")
def postgres(engine: docker.DockerClient, network: Network) -> Iterator[str]:
    """A Postgres that this machine and containers reach by the same address."""
    container = engine.containers.run(
        "postgres:17",
        environment={"POSTGRES_PASSWORD": "test", "POSTGRES_DB": "slipway"},
        network=network.name,
        tmpfs={"/var/lib/postgresql/data": ""},
        detach=True,
    )
    try:
        url = f"postgresql://postgres:test@{_address(container, network)}:5432/slipway"
        until(lambda: _connects(url), 60)
        yield url
    finally:
        container.remove(v=True, force=True)


@pytest.fixture(scope="session")
def code_server(engine: docker.DockerClient, network: Network, image: str) -> Iterator[str]:
    container = engine.containers.run(
        image,
        ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", "4000", "-m", "launched.definitions"],
        environment={"DAGSTER_CURRENT_IMAGE": image, "HOME": "/tmp"},
        network=network.name,
        detach=True,
    )
    try:
        until(
            lambda: b"Started Dagster code server" in container.logs(), 90, lambda: container.logs().decode()
        )
        yield _address(container, network)
    finally:
        container.remove(v=True, force=True)


@pytest.fixture(scope="session")
def platform_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("platform") / "platform.yaml"
    path.write_text(PLATFORM)
    return path


@pytest.fixture(scope="session")
def services_env(platform_file: Path, project: str, network: Network) -> dict[str, str]:
    """What the daemon, the webserver and the gate are told."""
    return {
        "SLIPWAY_RUNTIME": "docker",
        "SLIPWAY_PROJECT": project,
        "SLIPWAY_DOCKER_NETWORK": network.name,
        "SLIPWAY_PLATFORM": str(platform_file),
    }


@pytest.fixture(scope="session")
def gate(services_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gate between launcher and engine: its DOCKER_HOST."""
    folder = tmp_path_factory.mktemp("gate")
    socket = folder / "docker.sock"
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("slipway"), "gate", "--socket", str(socket)],
            env={**os.environ, **services_env},
            stdout=output,
            stderr=output,
        )
    try:
        until(socket.exists, 30, lambda: (folder / "log").read_text())
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def launcher(
    tmp_path: Path,
    postgres: str,
    code_server: str,
    services_env: dict[str, str],
    gate: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Launching]:
    own = {"SLIPWAY_POSTGRES_URL": postgres, "DAEMON_SECRET": "s3cret", "DOCKER_HOST": gate}
    for name, value in {**services_env, **own}.items():
        monkeypatch.setenv(name, value)
    target = GrpcServerTarget(host=code_server, port=4000, socket=None, location_name="launched")
    with launching(tmp_path, target) as harness:
        yield harness


def _address(container: Container, network: Network) -> str:
    container.reload()
    return str(container.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"])


def _connects(url: str) -> bool:
    try:
        psycopg2.connect(url, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True
