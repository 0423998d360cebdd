"""The run tags by which a run and its batch find each other."""

from __future__ import annotations

from collections.abc import Mapping

LANDING_TAG = "slipway/landing"
BATCH_TAG = "slipway/batch"
"""Batch id, run key and claim token in one."""


def has_platform(env: Mapping[str, str]) -> bool:
    """Whether this process belongs to a platform, or is Dagster alone on somebody's laptop."""
    return bool(env.get("SLIPWAY_PLATFORM") or env.get("SLIPWAY_PLATFORM_JSON"))
