"""Submits runs and backfills to the running platform, and follows them."""
