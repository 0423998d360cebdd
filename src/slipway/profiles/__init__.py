"""Resource profiles: which one a run gets, and what it means in cores, bytes and DuckDB's settings."""

from slipway.profiles.resolved import Limits, Requests, ResolvedProfile
from slipway.profiles.resolving import Wish, known, resolve, wishes

__all__ = ["Limits", "Requests", "ResolvedProfile", "Wish", "known", "resolve", "wishes"]
