"""What the runtimes have in common whose launcher knows every value that a run gets: processes and containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from slipway import config
from slipway.config.connections import resolve
from slipway.config.model import Platform, Reference
from slipway.launch.adapter import Value
from slipway.launch.environment import BUNDLED
from slipway.profiles import ResolvedProfile


class LocalAdapter:
    """One machine: platform.yaml is a file of it, and references have their values in the launcher's environment."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def platform(self) -> Platform:
        """The file, as it is now."""
        return config.current()

    def resolver(self, platform: Platform) -> Callable[[Reference], Value]:
        """The values themselves."""
        return partial(resolve, env=self._env)

    def image(self, platform: Platform, location: str) -> str:
        """As platform.yaml names it."""
        return str(platform.code_locations[location].image)

    @property
    def _bundled(self) -> dict[str, Value]:
        return {name: self._env[name] for name in BUNDLED if name in self._env}

    @property
    def _aws(self) -> dict[str, str]:
        return {name: value for name, value in self._env.items() if name.startswith("AWS_")}

    def adjusted(
        self, profile: ResolvedProfile, tags: Mapping[str, str]
    ) -> tuple[ResolvedProfile, list[str]]:
        """No tag changes a profile here."""
        return profile, []

    def stops_anywhere(self) -> bool:
        """The webserver reaches the same machine."""
        return True


def plain(env: Mapping[str, Value]) -> dict[str, str]:
    """An environment in which every value is known.

    Raises:
        TypeError: one is not.
    """
    values: dict[str, str] = {}
    for name, value in env.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} is a reference to a Secret, which no process can read")
        values[name] = value
    return values
