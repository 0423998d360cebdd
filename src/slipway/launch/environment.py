"""The environment of a run: pure functions from platform.yaml, profile and the launcher's own environment."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from slipway.config import connections, duckdb_file
from slipway.config.errors import UserError
from slipway.config.model import (
    EnvReference,
    FileReference,
    Platform,
    Reference,
    SecretReference,
    Storage,
)
from slipway.launch.adapter import Surroundings, Value
from slipway.profiles import ResolvedProfile

V = TypeVar("V", str, Value)

BUNDLED = (
    connections.POSTGRES_URL,
    connections.S3_ENDPOINT,
    connections.S3_PUBLIC_ENDPOINT,
    connections.S3_ACCESS_KEY_ID,
    connections.S3_SECRET_ACCESS_KEY,
)
"""Addresses of the bundled services, which the runtime gives."""

RUN_METADATA = "SLIPWAY_RUN_METADATA"
"""JSON object that the instance's storage adds to the metadata of each of the run's materialisations."""

_REFERENCES = (EnvReference, FileReference, SecretReference)
_OF_SERVICES = {
    ("concurrency", "max_concurrent_runs"),
    ("concurrency", "pools"),
    ("concurrency", "tags"),
    ("defaults", "start_timeout"),
    ("kubernetes",),
}
"""What no run reads. A step that claims a pool's slot reads `concurrency.default_pool_limit`."""


def portable_platform(platform: Platform, resolve: Callable[[Reference], V]) -> tuple[str, dict[str, V]]:
    """platform.yaml as JSON that means the same in another place, and the variables that it then refers to.

    Every reference becomes one to a variable of our own name, whose value is resolved here: a file of this
    machine is not on the other, and a user's `AWS_ACCESS_KEY_ID` must not become a run's ambient credentials.
    The environments of code locations are left out, since no location may see another's, and so is what only the
    platform's own services read: a location's image with an older Slipway would not know all of its keys.

    Args:
        platform: the platform.
        resolve: what a reference stands for.

    Raises:
        UserError: a reference has no value here.
    """
    values: dict[str, V] = {}

    def portable(node: Any, path: tuple[str, ...]) -> Any:
        if isinstance(node, _REFERENCES):
            name = "_".join(("SLIPWAY_SECRET", *path)).upper()
            values[name] = _resolved(node, resolve, ".".join(path))
            return {"env": name}
        if isinstance(node, dict):
            return {key: portable(value, (*path, key)) for key, value in node.items()}
        fields = getattr(type(node), "model_fields", None)
        if fields is None:
            return node
        given = {
            name: getattr(node, name)
            for name in fields
            if name in node.model_fields_set and (*path, name) not in _OF_SERVICES
        }
        return {
            fields[name].alias or name: portable(value, (*path, name))
            for name, value in given.items()
            if value is not None
        }

    bare = platform.model_copy(
        update={
            "code_locations": {
                name: location.model_copy(update={"env": {}})
                for name, location in platform.code_locations.items()
            }
        }
    )
    inline = portable(bare, ())
    if not inline.get("concurrency"):
        inline.pop("concurrency", None)
    return json.dumps(inline, separators=(",", ":")), values


def location_environment(
    platform: Platform, location: str, resolve: Callable[[Reference], V]
) -> dict[str, str | V]:
    """The environment that platform.yaml gives to a location, with its references resolved.

    Raises:
        UserError: a reference has no value here, naming the key.
    """
    return {
        name: value
        if isinstance(value, str)
        else _resolved(value, resolve, f"code_locations.{location}.env.{name}")
        for name, value in platform.code_locations[location].env.items()
    }


def _resolved(reference: Reference, resolve: Callable[[Reference], V], key: str) -> V:
    try:
        return resolve(reference)
    except UserError as error:
        raise UserError(f"{key}: {error.message}", error.hint) from error


def ambient_aws(platform: Platform, env: Mapping[str, str]) -> dict[str, str]:
    """The AWS variables of the launcher's environment, where some storage relies on ambient credentials."""
    if any(_is_ambient(storage) for storage in platform.storage.values()):
        return {name: value for name, value in env.items() if name.startswith("AWS_")}
    return {}


def _is_ambient(storage: Storage) -> bool:
    return not storage.bundled and storage.access_key_id is None


def run_environment(
    platform: Platform,
    location: str,
    profile: ResolvedProfile,
    resolve: Callable[[Reference], Value],
    surroundings: Surroundings,
) -> dict[str, Value]:
    """All of a run's environment; later sources win: machine, AWS, location, profile, then Slipway's own.

    Args:
        platform: the platform as configured now.
        location: the run's code location.
        profile: the run's profile, as it is launched.
        resolve: how a run is given what a reference stands for.
        surroundings: what the runtime gives.

    Raises:
        UserError: a reference has no value.
    """
    inline, secrets = portable_platform(platform, resolve)
    default = platform.storage.get("default", Storage())
    file = platform.code_locations[location].duckdb_file
    return {
        **surroundings.base,
        "AWS_DEFAULT_REGION": default.region,
        **ambient_aws(platform, surroundings.aws),
        **location_environment(platform, location, resolve),
        "DUCKDB_TEMP_DIRECTORY": f"{surroundings.scratch}/duckdb",
        **profile.env,
        **surroundings.bundled,
        **secrets,
        "SLIPWAY_RUNTIME": surroundings.runtime,
        "SLIPWAY_LOCATION": location,
        "SLIPWAY_PLATFORM_JSON": inline,
        "SLIPWAY_SCRATCH": surroundings.scratch,
        **({duckdb_file.VARIABLE: f"{surroundings.duckdb_folder}/{file}"} if file else {}),
        RUN_METADATA: json.dumps(profile.tags()),
        "TMPDIR": surroundings.scratch,
    }
