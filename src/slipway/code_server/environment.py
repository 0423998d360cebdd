"""What platform.yaml gives to a code server that its container's environment cannot hold."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.config.connections import resolve
from slipway.config.errors import UserError
from slipway.config.model import FileReference, Platform


def location(env: Mapping[str, str]) -> str:
    """The code location that this server is for.

    Raises:
        UserError: the environment does not say.
    """
    name = env.get("SLIPWAY_LOCATION")
    if not name:
        raise UserError(
            "SLIPWAY_LOCATION does not say which code location this is",
            "set it to the location's name in platform.yaml; docker-compose.yml and the chart do",
        )
    return name


def from_files(platform: Platform, name: str) -> dict[str, str]:
    """The variables of a code location whose values are in files; paths are relative to the working directory.

    Raises:
        UserError: platform.yaml has no such location, or a file has no value; it names the key.
    """
    found = platform.code_locations.get(name)
    if found is None:
        known = ", ".join(platform.code_locations) or "none"
        raise UserError(
            f"platform.yaml has no code location named {name}",
            f"it has: {known}; SLIPWAY_LOCATION must be one of them",
        )
    values: dict[str, str] = {}
    for key, value in found.env.items():
        if isinstance(value, FileReference):
            try:
                values[key] = resolve(value)
            except UserError as error:
                raise UserError(f"code_locations.{name}.env.{key}: {error.message}", error.hint) from error
    return values
