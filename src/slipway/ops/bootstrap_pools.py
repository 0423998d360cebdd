"""Bootstrap's work on concurrency pools: those that platform.yaml declares have its limits, and no others are touched.

Dagster keeps a pool's limit in its storage, where the UI sets it too. Which limits are ours is kept beside them: one
that platform.yaml no longer declares goes back to the default, unless somebody has given the pool another since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from slipway.config import duckdb_file
from slipway.config.model import Platform
from slipway.ops.bootstrap_postgres import platform_instance

RECORD = "slipway_pool_limits"
"""Key, among Dagster's own cursors, of the limits that we have set."""


def declared(platform: Platform) -> dict[str, int]:
    """The pools of platform.yaml and their limits; a DuckDB file's pool is one."""
    files = {
        duckdb_file.pool(name): 1
        for name, code in platform.code_locations.items()
        if code.duckdb_file is not None
    }
    return {**platform.concurrency.pools, **files}


def ensure_pools(platform: Platform, env: Mapping[str, str]) -> Iterator[str]:
    """Give the pools of the instance in DAGSTER_HOME their limits, with a line of report for each that changes."""
    wanted = declared(platform)
    with platform_instance(env) as instance:
        storage, cursors = instance.event_log_storage, instance.run_storage
        ours: dict[str, int] = json.loads(cursors.get_cursor_values({RECORD}).get(RECORD) or "{}")
        if ours != wanted:
            # Before any is set: ended halfway, all that may be ours is known as such.
            cursors.set_cursor_values({RECORD: json.dumps({**ours, **wanted})})
        limits = {limit.name: limit for limit in storage.get_pool_limits()}
        for name, limit in sorted(wanted.items()):
            found = limits.get(name)
            if found is None or found.from_default or found.limit != limit:
                storage.set_concurrency_slots(name, limit)
                yield f"The pool {name} has a limit of {limit}{_instead_of(found, limit)}"
        for name, limit in sorted(ours.items() - wanted.items()):
            found = limits.get(name)
            if name not in wanted and found is not None and not found.from_default and found.limit == limit:
                storage.delete_concurrency_limit(name)
                storage.initialize_concurrency_limit_to_default(name)
                yield f"The pool {name} has the default limit again"
        for name, found in sorted(limits.items()):
            if found.from_default and name not in wanted:
                storage.initialize_concurrency_limit_to_default(name)
        if ours != wanted:
            cursors.set_cursor_values({RECORD: json.dumps(wanted)})


def _instead_of(found: Any, limit: int) -> str:
    return f" instead of {found.limit}" if found is not None and found.limit != limit else ""
