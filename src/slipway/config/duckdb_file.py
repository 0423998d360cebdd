"""Where the DuckDB file of a code location is, and what guards it.

Launcher, gate, compose file and resources must agree on these names, and know nothing else of each other.
"""

from __future__ import annotations

VARIABLE = "SLIPWAY_DUCKDB_FILE"
"""Path of the file; set in the location's runs and nowhere else."""

CONTAINER_FOLDER = "/var/lib/slipway/duckdb"
"""Where a run's container has the location's volume. The location's image owns this folder as the run's user, and a
new volume takes owner and mode from it."""


def volume_key(location: str) -> str:
    """The volume's name in the compose file."""
    return f"duckdb_{location}"


def volume(project: str, location: str) -> str:
    """The volume's name on the engine, as Compose makes it of its project's name and the key."""
    return f"{project}_{volume_key(location)}"


def pool(location: str) -> str:
    """The concurrency pool of everything that opens the file; the platform sets its limit to one."""
    return f"duckdb_{location}"
