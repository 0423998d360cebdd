"""The parts of docker-compose.yml that follow from platform.yaml: pure text in, text out.

Shared services are written by hand and take what depends on platform.yaml from YAML anchors of the first generated
part; the second holds one service per code location.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.config import duckdb_file
from slipway.config.errors import UserError
from slipway.config.model import (
    CodeLocation,
    EnvReference,
    FileReference,
    Platform,
    Reference,
    SecretReference,
)
from slipway.ops.storages import any_is_bundled
from slipway.ops.workspace import server_name

BEGIN = "# >>> generated from platform.yaml by `slipway compose`"
END = "# <<< generated"
HOME = "/opt/slipway"
"""Working directory of the platform's containers, hence where relative paths of platform.yaml end up."""
LOCATION_HOME = "/opt/location"
"""The same in a code location's containers."""

Keyed = tuple[str, Reference]
"""A reference and its key in platform.yaml, for messages."""


def render(text: str, platform: Platform, instance: bytes) -> str:
    """Write the generated parts of a compose file again.

    Args:
        text: the compose file as it is.
        platform: the platform that it shall run.
        instance: the bytes of dagster.yaml; when they or the platform change, containers are made again.

    Raises:
        UserError: when a mark is missing, or platform.yaml refers to what containers cannot have.
    """
    parts = text.split(BEGIN)
    if len(parts) != 3 or any(END not in part for part in parts[1:]):
        raise UserError(
            f"the compose file has not two parts between {BEGIN!r} and {END!r}",
            "take docker-compose.yml as it came, and put your own changes into docker-compose.override.yml",
        )
    before, first, second = parts
    indent = "  "
    anchors = _yaml(_anchors(platform, instance))
    locations = _yaml(_locations(platform), indent)
    return "".join(
        (
            before,
            f"{BEGIN}\n{anchors}{END}",
            first.partition(END)[2],
            f"{BEGIN}\n{locations}{indent}{END}",
            second.partition(END)[2],
        )
    )


class _Anchored:
    """A value that the rest of the file refers to by the name of its anchor."""

    def __init__(self, anchor: str, value: object) -> None:
        self.anchor = anchor
        self.value = value


class _Alias(str):
    """Text that goes into the YAML as it stands."""


def _anchors(platform: Platform, instance: bytes) -> dict[str, Any]:
    shared = list(_shared_references(platform))
    by_location = {
        name: list(_location_references(name, location)) for name, location in platform.code_locations.items()
    }
    everything = [*shared, *(reference for references in by_location.values() for reference in references)]
    digest = hashlib.sha256(platform.model_dump_json(by_alias=True).encode() + instance).hexdigest()[:16]
    started = {
        server_name(name): {"condition": "service_started", "required": False}
        for name in platform.code_locations
    }
    return {
        "x-labels": _Anchored("labels", {"slipway.config": digest}),
        "x-bundled-postgres": _Anchored(
            "bundled-postgres", [] if platform.postgres.is_bundled else ["bundled"]
        ),
        "x-bundled-storage": _Anchored("bundled-storage", [] if any_is_bundled(platform) else ["bundled"]),
        "x-platform-environment": _Anchored("platform-environment", _variables(shared)),
        "x-locations-environment": _Anchored("locations-environment", _variables(everything)),
        "x-platform-secrets": _Anchored("platform-secrets", _mounts(shared, HOME)),
        "x-daemon-secrets": _Anchored("daemon-secrets", _mounts(everything, HOME)),
        "x-locations-started": _Anchored("locations-started", started),
        "x-duckdb-volumes": _Anchored(
            "duckdb-volumes", {duckdb_file.volume_key(name): {} for name in _with_duckdb_files(platform)}
        ),
        "secrets": {_secret_name(file): {"file": _verbatim(file)} for file in _files(everything)},
    }


def _inside(name: str, path: str) -> str:
    """The path of a location below the folder of platform.yaml, which is what an image is built from.

    Raises:
        UserError: it leads out of that folder.
    """
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise UserError(
            f"code_locations.{name}.path: {path} is not below the folder of platform.yaml",
            "an image is built from that folder alone: move or copy the project into it",
        )
    return path.removeprefix("./").rstrip("/")


def location_build(path: str, location: CodeLocation) -> dict[str, Any]:
    """How the image of a location is built, in Compose's terms."""
    return {
        "context": ".",
        "dockerfile": "docker/location.Dockerfile",
        "args": {"LOCATION": path, "PYTHON_VERSION": location.python},
    }


def builds(platform: Platform) -> dict[str, Any]:
    """A Compose file that builds the images of this repository and does nothing else, on whatever they run later.

    Raises:
        UserError: a location leads out of the folder of platform.yaml.
    """
    platform_build = {"context": ".", "dockerfile": "docker/platform.Dockerfile"}
    return {
        "name": "slipway-images",
        "services": {
            "platform": {"image": str(platform.kubernetes.image), "build": platform_build},
            **{
                server_name(name): {
                    "image": str(location.image),
                    "build": location_build(_verbatim(_inside(name, location.path)), location),
                }
                for name, location in platform.code_locations.items()
            },
        },
    }


def _locations(platform: Platform) -> dict[str, Any]:
    shared = list(_shared_references(platform))
    services: dict[str, Any] = {}
    for name, location in platform.code_locations.items():
        image = str(location.image)
        path = _verbatim(_inside(name, location.path))
        services[server_name(name)] = {
            "<<": _Alias("*location"),
            "image": image,
            "build": location_build(path, location),
            "pull_policy": _Alias("*built"),
            "environment": {
                "<<": _Alias("[*environment, *platform-environment]"),
                "SLIPWAY_LOCATION": name,
                "DAGSTER_CURRENT_IMAGE": image,
                **dict(_environment(name, location)),
            },
            "secrets": _mounts([*shared, *_location_references(name, location)], LOCATION_HOME),
            "labels": _Alias("*labels"),
            "develop": {
                "watch": [
                    {
                        "action": "rebuild",
                        "path": f"./{path}",
                        "ignore": ["tests/", ".venv/", "**/__pycache__/", "*.egg-info/"],
                    }
                ]
            },
        }
        if location.duckdb_file is not None:
            services[_duckdb_service_name(name)] = _duckdb_service(name, image, location.duckdb_file)
    return services


def _duckdb_service(location: str, image: str, file: str) -> dict[str, Any]:
    """A service of no containers: with it the volume is Compose's to make and remove, and a look into it one command."""
    folder = duckdb_file.CONTAINER_FOLDER
    return {
        "<<": _Alias("*duckdb-file"),
        "image": image,
        "pull_policy": _Alias("*built"),
        "environment": {
            "SLIPWAY_LOCATION": location,
            duckdb_file.VARIABLE: f"{folder}/{file}",
        },
        "volumes": [{"type": "volume", "source": duckdb_file.volume_key(location), "target": folder}],
        "labels": _Alias("*labels"),
    }


def _with_duckdb_files(platform: Platform) -> list[str]:
    return [name for name, location in platform.code_locations.items() if location.duckdb_file is not None]


def _duckdb_service_name(location: str) -> str:
    """Name of the service that a location's DuckDB file is looked into with."""
    return "duckdb-" + location.replace("_", "-")


def _environment(name: str, location: CodeLocation) -> Iterator[tuple[str, str]]:
    for key, value in location.env.items():
        if isinstance(value, str):
            yield key, _verbatim(value)
        elif isinstance(value, EnvReference):
            yield key, _variable(f"code_locations.{name}.env.{key}", value)


def _verbatim(text: str) -> str:
    """Text that Compose fills nothing into."""
    return text.replace("$", "$$")


def _shared_references(platform: Platform) -> Iterator[Keyed]:
    postgres = platform.postgres
    for key, reference in (("user", postgres.user), ("password", postgres.password)):
        if reference is not None:
            yield _possible(f"postgres.{key}", reference)
    for name, storage in platform.storage.items():
        credentials = (
            ("access_key_id", storage.access_key_id),
            ("secret_access_key", storage.secret_access_key),
        )
        for key, reference in credentials:
            if reference is not None:
                yield _possible(f"storage.{name}.{key}", reference)


def _location_references(name: str, location: CodeLocation) -> Iterator[Keyed]:
    for key, value in location.env.items():
        if not isinstance(value, str):
            yield _possible(f"code_locations.{name}.env.{key}", value)


def _possible(key: str, reference: Reference) -> Keyed:
    if isinstance(reference, SecretReference):
        raise UserError(
            f"{key} refers to a Kubernetes Secret, which containers under Compose do not have",
            "refer to an environment variable ({env: NAME}) or a file ({file: PATH}) in the platform.yaml that Compose runs",
        )
    return key, reference


def _variables(references: list[Keyed]) -> dict[str, str]:
    return {
        reference.env: _variable(key, reference)
        for key, reference in references
        if isinstance(reference, EnvReference)
    }


def _variable(key: str, reference: EnvReference) -> str:
    return f"${{{reference.env}?platform.yaml needs it for {key}: export it or put it into .env}}"


def _files(references: list[Keyed]) -> list[str]:
    return sorted({reference.file for _, reference in references if isinstance(reference, FileReference)})


def _mounts(references: list[Keyed], home: str) -> list[dict[str, str]]:
    return [
        {"source": _secret_name(file), "target": _verbatim(str(PurePosixPath(home, file)))}
        for file in _files(references)
    ]


def _secret_name(file: str) -> str:
    return "file-" + hashlib.sha256(file.encode()).hexdigest()[:12]


def _yaml(value: dict[str, Any], indent: str = "") -> str:
    """Block YAML of maps, with everything below the second level as JSON, which YAML contains."""
    lines: list[str] = []
    for key, entry in value.items():
        anchor = ""
        if isinstance(entry, _Anchored):
            anchor, entry = f" &{entry.anchor}", entry.value
        if isinstance(entry, _Alias):
            lines.append(f"{indent}{key}: {entry}\n")
        elif isinstance(entry, dict) and entry:
            lines.append(f"{indent}{key}:{anchor}\n{_yaml(entry, indent + '  ')}")
        else:
            lines.append(f"{indent}{key}:{anchor} {json.dumps(entry, ensure_ascii=False)}\n")
    return "".join(lines)
