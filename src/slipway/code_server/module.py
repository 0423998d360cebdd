"""Where a code location keeps its definitions."""

from __future__ import annotations

import tomllib
from pathlib import Path

from slipway.config.errors import UserError


def definitions_module(folder: Path, name: str) -> str:
    """The Python module with a location's `Definitions`.

    It is what `[tool.dg.project]` of the project's pyproject.toml says, as `dg` reads it; `<name>.definitions`
    where it says nothing.

    Args:
        folder: the location's project.
        name: the location's name in platform.yaml.

    Raises:
        UserError: pyproject.toml cannot be read.
    """
    project = folder / "pyproject.toml"
    try:
        settings = tomllib.loads(project.read_text(encoding="utf-8")) if project.exists() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"{project} cannot be read: {error}", "it must be TOML, in UTF-8") from error
    dg = settings.get("tool", {}).get("dg", {}).get("project", {})
    module: str = dg.get("code_location_target_module", f"{dg.get('root_module', name)}.definitions")
    return module
