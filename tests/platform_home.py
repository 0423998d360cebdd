"""A platform.yaml and the repository's dagster.yaml in a folder, and the environment of processes that use them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from dagster import DagsterInstance

from slipway.config import loader

ROOT = Path(__file__).resolve().parent.parent


def environment(folder: Path, platform: str, env: Mapping[str, str]) -> dict[str, str]:
    """Write both files below a folder; `env` says where the bundled services are."""
    loader.parse(platform, "platform.yaml")
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "dagster.yaml", home)
    (folder / "platform.yaml").write_text(platform)
    return {**env, "DAGSTER_HOME": str(home), "SLIPWAY_PLATFORM": str(folder / "platform.yaml")}


@contextmanager
def instance(env: Mapping[str, str]) -> Iterator[DagsterInstance]:
    """The instance that a process with this environment loads, and that environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        with DagsterInstance.get() as loaded:
            yield loaded
