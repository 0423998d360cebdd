"""Slipway: a self-hosted Dagster platform driven by one platform.yaml."""

__version__ = "0.1.0"
