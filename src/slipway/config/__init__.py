"""The typed model of platform.yaml and how to load it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from slipway.config import loader
from slipway.config.model import Platform

__all__ = ["Platform", "current"]


def current(env: Mapping[str, str] = os.environ) -> Platform:
    """The platform of this process: SLIPWAY_PLATFORM_JSON, else the file SLIPWAY_PLATFORM, else ./platform.yaml."""
    inline = env.get("SLIPWAY_PLATFORM_JSON")
    return _parse(inline) if inline else _load(Path(env.get("SLIPWAY_PLATFORM") or "platform.yaml").resolve())


@lru_cache(maxsize=4)
def _parse(text: str) -> Platform:
    return loader.parse(text, "SLIPWAY_PLATFORM_JSON")


@lru_cache(maxsize=4)
def _load(path: Path) -> Platform:
    return loader.load(path)
