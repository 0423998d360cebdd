"""workspace.yaml, by which webserver and daemon find the code servers: always from platform.yaml, never by hand."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from slipway.config import current
from slipway.config.errors import UserError
from slipway.config.model import Platform

CONTAINER_PORT = 4000
"""Port of every code server in a container."""

Address = tuple[str, int]
"""Host and port."""


def render(platform: Platform, addresses: Mapping[str, Address]) -> str:
    """The text of workspace.yaml. `addresses` has the code server of each location of the platform."""
    servers = [
        {"grpc_server": {"host": addresses[name][0], "port": addresses[name][1], "location_name": name}}
        for name in platform.code_locations
    ]
    return yaml.safe_dump({"load_from": servers}, sort_keys=False)


def addresses(platform: Platform, env: Mapping[str, str]) -> dict[str, Address]:
    """Where the code servers are, on the runtime that the environment tells.

    Raises:
        UserError: for processes that `slipway up` has not started, and for an unknown runtime.
    """
    match env.get("SLIPWAY_RUNTIME", "process"):
        case "docker":
            return {name: (server_name(name), CONTAINER_PORT) for name in platform.code_locations}
        case "kubernetes":
            project = env.get("SLIPWAY_PROJECT")
            if not project:
                raise UserError(
                    "SLIPWAY_PROJECT does not say what the chart's objects are called",
                    "the chart sets it; take its pods as they are",
                )
            return {
                name: (f"{project}-{server_name(name)}", CONTAINER_PORT) for name in platform.code_locations
            }
        case "process":
            return _read(address_file(Path(env.get("SLIPWAY_STATE") or ".slipway")), platform)
        case other:
            raise UserError(
                f"SLIPWAY_RUNTIME is {other!r}, and code servers are found for process, docker and kubernetes only",
                "unset it, or set it to one of the three",
            )


def server_name(location: str) -> str:
    """Name of a code location's server where it runs in a container."""
    return "code-" + location.replace("_", "-")


def in_container(env: Mapping[str, str]) -> bool:
    """Whether this process has a container of its own: a network, and a root that is read-only."""
    return env.get("SLIPWAY_RUNTIME") in ("docker", "kubernetes")


def address_file(state: Path) -> Path:
    """Where the process runtime notes the ports that it chose."""
    return state / "code-servers.json"


def write(env: Mapping[str, str]) -> Path:
    """Write the workspace file for a process that starts now; its path.

    In the state folder for processes; in a container, whose root is read-only, in the folder for temporary files.
    """
    platform = current(env)
    text = render(platform, addresses(platform, env))
    folder = Path(tempfile.gettempdir() if in_container(env) else env.get("SLIPWAY_STATE") or ".slipway")
    file = folder.absolute() / "workspace.yaml"
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(text)
    draft.replace(file)
    return file


def _read(file: Path, platform: Platform) -> dict[str, Address]:
    try:
        ports: dict[str, int] = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise UserError(
            f"no code servers run here: {file} is missing", "start them with `slipway up`"
        ) from error
    except ValueError as error:
        raise UserError(
            f"{file} is not as `slipway up` writes it: {error}", "restart `slipway up`"
        ) from error
    missing = [name for name in platform.code_locations if name not in ports]
    if missing:
        raise UserError(
            f"platform.yaml has code locations that were not started: {', '.join(missing)}",
            "restart `slipway up`",
        )
    return {name: ("127.0.0.1", ports[name]) for name in platform.code_locations}
