"""Reads platform.yaml (provisional: without line numbers)."""

from __future__ import annotations

from pathlib import Path

import yaml

from slipway.config.errors import UserError
from slipway.config.model import Platform


def parse(text: str, source: str) -> Platform:
    """The platform that a text describes."""
    return Platform.model_validate(yaml.safe_load(text) or {})


def load(path: Path) -> Platform:
    """The platform that a file describes."""
    try:
        return parse(path.read_text(), str(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "run it where platform.yaml is") from None
