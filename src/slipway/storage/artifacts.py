"""Where Dagster's default IO manager and file manager write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData

from slipway.config.presence import development_folder, is_development


def artifact_folder(env: Mapping[str, str]) -> Path:
    """The run's scratch; outside a run the state folder or, in a container, its /tmp."""
    if is_development(env):
        return development_folder(Path.cwd()) / "artifacts"
    if scratch := env.get("SLIPWAY_SCRATCH"):
        return Path(scratch) / "dagster"
    if env.get("SLIPWAY_RUNTIME") == "process":
        return Path(env.get("SLIPWAY_STATE") or ".slipway").absolute() / "dagster"
    return Path(tempfile.gettempdir()) / "dagster"


class ScratchArtifactStorage(LocalArtifactStorage):
    """Local files of the process that loads the instance, which live no longer than its run."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in dagster.yaml."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Made by Dagster when the instance is loaded."""
        return cls(str(artifact_folder(os.environ)), inst_data=inst_data)
