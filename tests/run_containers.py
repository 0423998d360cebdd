"""The containers of runs, looked at behind the gate."""

from __future__ import annotations

import docker
from docker.models.containers import Container

from slipway.launch.docker import container_name


def container_of(engine: docker.DockerClient, run_id: str) -> Container:
    return engine.containers.get(container_name(run_id))


def ended(engine: docker.DockerClient, run_id: str) -> Container:
    """A run's container once it has exited."""
    container = container_of(engine, run_id)
    container.wait(timeout=120)
    container.reload()
    return container
