"""Dagster's concurrency pools on the instance's storage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import platform_home


def test_a_pool_that_another_run_has_just_made_is_taken_as_it_is(
    platform_env: Mapping[str, str], tmp_path: Path
) -> None:
    with platform_home.instance(platform_home.environment(tmp_path, "{}", platform_env)) as instance:
        storage = instance.event_log_storage
        assert storage.initialize_concurrency_limit_to_default("marts")
        assert storage.initialize_concurrency_limit_to_default("marts")
        assert storage.get_concurrency_info("marts").slot_count == 1
