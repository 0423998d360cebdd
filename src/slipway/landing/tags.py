"""The run tags by which a run and its batch find each other."""

from __future__ import annotations

LANDING_TAG = "slipway/landing"
BATCH_TAG = "slipway/batch"
"""Batch id, run key and claim token in one."""
