"""Run workers as containers, through docker-py and the gate.

The body of a create request is built by a pure function and has no key that the gate does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property
from typing import Any

import docker
import requests
from docker import errors

from slipway.config import duckdb_file
from slipway.config.errors import UserError
from slipway.launch.adapter import (
    LOG_LINES,
    STOP_GRACE_SECONDS,
    EngineUnreachable,
    Host,
    Phase,
    Surroundings,
    WorkerState,
    WorkOrder,
)
from slipway.launch.local import LocalAdapter, plain

USER = "10001:10001"
SCRATCH = "/tmp"  # noqa: S108 - a volume of the container's own
PIDS = 512
CPU_PERIOD = 100_000
"""Microseconds. A period and a quota, since a running container's update takes no nano_cpus."""

API_TIMEOUT_SECONDS = STOP_GRACE_SECONDS + 20


def container_name(run_id: str) -> str:
    """The name that a run's container is found by."""
    return f"slipway-run-{run_id}"


def create_body(order: WorkOrder, *, project: str, network: str) -> dict[str, Any]:
    """The body of `POST /containers/create` for a run."""
    limits = order.profile.limits
    mounts = {"Mounts": [_duckdb_mount(order.location, project)]} if order.has_duckdb_file else {}
    return {
        "Image": order.image,
        "Cmd": [order.python, "-m", "slipway.worker", order.arguments],
        "Env": [f"{name}={value}" for name, value in sorted(plain(order.env).items())],
        "Labels": {
            "slipway.project": project,
            "slipway.kind": "run",
            "slipway.location": order.location,
            "dagster/run_id": order.run_id,
            "dagster/job_name": order.job_name,
        },
        "User": USER,
        "Volumes": {SCRATCH: {}},
        "HostConfig": {
            "Memory": limits.memory,
            "MemorySwap": limits.memory,
            "MemoryReservation": order.profile.requests.memory or limits.memory,
            "CpuPeriod": CPU_PERIOD,
            "CpuQuota": int(limits.cpu * CPU_PERIOD),
            "PidsLimit": PIDS,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "NetworkMode": network,
            **mounts,
        },
    }


def _duckdb_mount(location: str, project: str) -> dict[str, str]:
    return {
        "Type": "volume",
        "Source": duckdb_file.volume(project, location),
        "Target": duckdb_file.CONTAINER_FOLDER,
    }


class DockerAdapter(LocalAdapter):
    """Containers of one project on the engine behind `DOCKER_HOST`."""

    def __init__(self, env: Mapping[str, str], project: str, network: str) -> None:
        super().__init__(env)
        self._project = project
        self._network = network

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> DockerAdapter:
        """The adapter that the services' environment describes.

        Raises:
            UserError: a variable is missing.
        """
        missing = [name for name in ("SLIPWAY_PROJECT", "SLIPWAY_DOCKER_NETWORK") if not env.get(name)]
        if missing:
            raise UserError(
                f"{' and '.join(missing)} must be set where runs are launched as containers",
                "docker-compose.yml sets them for the daemon and the webserver",
            )
        return cls(env, env["SLIPWAY_PROJECT"], env["SLIPWAY_DOCKER_NETWORK"])

    @cached_property
    def _api(self) -> docker.APIClient:
        with _engine_errors():
            client = docker.DockerClient.from_env(environment=dict(self._env), timeout=API_TIMEOUT_SECONDS)
            return client.api

    def host(self) -> Host:
        """The engine's machine, which need not be this one."""
        with _engine_errors():
            info = self._api.info()
        return Host(Decimal(info["NCPU"]), info["MemTotal"])

    def surroundings(self, run_id: str, location: str) -> Surroundings:
        """A container inherits nothing of this machine; the image's own HOME is read-only.

        The location's volume is mounted at one place in every container that has it; no container has another's.
        """
        return Surroundings(
            runtime="docker",
            scratch=SCRATCH,
            duckdb_folder=duckdb_file.CONTAINER_FOLDER,
            base={"HOME": SCRATCH},
            bundled=self._bundled,
            aws=self._aws,
        )

    def scratch(self, run_id: str) -> str:
        """An anonymous volume, for a tmpfs would count as the run's memory."""
        return SCRATCH

    def accounts(self) -> bool:
        """A container has a control group of its own."""
        return True

    def start(self, order: WorkOrder) -> str:
        """Create and start the container. An earlier launch's own container is started, or left running."""
        body = create_body(order, project=self._project, network=self._network)
        name = container_name(order.run_id)
        with _engine_errors():
            try:
                self._api.create_container_from_config(body, name)  # type: ignore[no-untyped-call]
            except errors.ImageNotFound as error:
                raise UserError(
                    f"image '{order.image}' of code location '{order.location}' is not on this host",
                    "images are never pulled at launch; build it: docker compose build",
                ) from error
            except errors.APIError as error:
                if error.status_code != 409:
                    raise
                if self.state(order.run_id).phase is not Phase.WAITING:
                    return f"nothing: container {name} was launched before"
            self._api.start(name)
        return f"container {name} from image {order.image}"

    def state(self, run_id: str) -> WorkerState:
        """The container's state, in the launcher's terms."""
        with _engine_errors():
            try:
                state = self._api.inspect_container(container_name(run_id))["State"]
            except errors.NotFound:
                return WorkerState(Phase.ABSENT)
        if state["Status"] == "created":
            # An engine that could not start the container leaves it so, with its own exit code.
            return WorkerState(
                Phase.EXITED if state["ExitCode"] else Phase.WAITING, state["ExitCode"] or None
            )
        if state["Status"] in ("exited", "dead", "removing"):
            return WorkerState(Phase.EXITED, state["ExitCode"], state["OOMKilled"])
        return WorkerState(Phase.RUNNING, out_of_memory=state["OOMKilled"])

    def logs(self, run_id: str) -> str:
        """The last lines of the container's output."""
        with _engine_errors():
            try:
                output: bytes = self._api.logs(container_name(run_id), tail=LOG_LINES)
            except errors.NotFound:
                return ""
        return output.decode(errors="replace").strip()

    def stop(self, run_id: str) -> bool:
        """SIGTERM, and SIGKILL after the grace."""
        if self.state(run_id).phase not in (Phase.RUNNING, Phase.WAITING):
            return False
        with _engine_errors():
            try:
                self._api.stop(container_name(run_id), timeout=STOP_GRACE_SECONDS)
            except errors.NotFound:
                return False
        return True

    def remove(self, run_id: str) -> None:
        """Remove the container and its scratch volume."""
        with _engine_errors():
            try:
                self._api.remove_container(container_name(run_id), v=True)
            except errors.NotFound:
                return
            except errors.APIError as error:
                # Somebody else is removing it already.
                if error.status_code != 409:
                    raise

    def workers(self) -> Mapping[str, Phase]:
        """The containers of this project's runs."""
        labels = [f"slipway.project={self._project}", "slipway.kind=run"]
        with _engine_errors():
            containers = self._api.containers(all=True, filters={"label": labels})
        return {
            container["Labels"]["dagster/run_id"]: _PHASES.get(container["State"], Phase.RUNNING)
            for container in containers
            if container["State"] != "removing"
        }


_PHASES = {"created": Phase.WAITING, "exited": Phase.EXITED, "dead": Phase.EXITED}
"""By the states of containers; in all others they run."""


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except errors.APIError as error:
        if error.status_code is not None and 400 <= error.status_code < 500:
            raise UserError(
                f"the Docker Engine or its gate refused: {error.explanation}",
                "the gate's log says what it refused and why: docker compose logs gate",
            ) from error
        raise EngineUnreachable(f"the Docker Engine failed: {error.explanation or error}") from error
    except (errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise EngineUnreachable(
            f"the Docker Engine, or the gate before it, does not answer: {error}"
        ) from error
