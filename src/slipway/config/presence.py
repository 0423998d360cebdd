"""Whether this process belongs to a platform, or is Dagster alone on somebody's laptop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

INSTANCE_FILE = "dagster.yaml"


def on_platform(env: Mapping[str, str]) -> bool:
    """Whether a runtime started this process and told it its platform.yaml."""
    return bool(env.get("SLIPWAY_PLATFORM") or env.get("SLIPWAY_PLATFORM_JSON"))


def is_development(env: Mapping[str, str]) -> bool:
    """Whether Dagster found dagster.yaml only because it was started beside it, as `dg dev` at the root is.

    Then nothing that platform.yaml names runs, and the instance is one of local files.
    """
    return not on_platform(env) and not env.get("DAGSTER_HOME")


def development_folder(start: Path) -> Path:
    """Where the processes of one `dg dev` keep their instance: `.slipway/dev` beside the nearest dagster.yaml."""
    roots = [folder for folder in (start, *start.parents) if (folder / INSTANCE_FILE).exists()]
    return (roots[0] if roots else start) / ".slipway" / "dev"
