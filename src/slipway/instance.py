"""Dagster's instance with the limits of platform.yaml: the class that dagster.yaml names.

Whatever asks how much may run at once (the queue, a step that claims its pool, the page *Deployment*, *Concurrency*)
asks the instance's `get_concurrency_config`. Answered here from platform.yaml, a changed limit counts at the next question.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from dagster import DagsterInstance
from dagster._core.instance.config import ConcurrencyConfig
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData
from dagster_shared.record import copy

from slipway import config
from slipway.config.errors import UserError
from slipway.config.model import Concurrency
from slipway.config.presence import is_development

_PLACES = {
    ("runs", "max_concurrent_runs"): "concurrency.max_concurrent_runs",
    ("runs", "tag_concurrency_limits"): "concurrency.tags",
    ("pools", "default_limit"): "concurrency.default_pool_limit",
}
"""Dagster's settings that are platform.yaml's here, and where."""


class SlipwayInstance(DagsterInstance):
    """The instance of every process that loads the platform's dagster.yaml."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        refuse_misplaced(self.get_settings("concurrency"))

    @classmethod
    def config_schema(cls) -> dict[str, Any]:
        """dagster.yaml has no further keys for it."""
        return {}

    @staticmethod
    def config_defaults(base_dir: str) -> Mapping[str, ConfigurableClassData | None]:
        """What dagster.yaml leaves out is as in any instance."""
        return InstanceRef.config_defaults(base_dir)

    def get_concurrency_config(self) -> ConcurrencyConfig:
        """How much may run at once, by platform.yaml as it is now.

        Raises:
            UserError: platform.yaml has a mistake. The queue then waits until it is mended, and the daemon says why.
        """
        limits = Concurrency() if is_development(os.environ) else config.current().concurrency
        return limited(super().get_concurrency_config(), limits)


def limited(dagster: ConcurrencyConfig, limits: Concurrency) -> ConcurrencyConfig:
    """Dagster's settings with the limits of platform.yaml; what it does not speak of stays."""
    queue = dagster.run_queue_config
    if queue is not None:
        queue = queue._replace(
            max_concurrent_runs=limits.max_concurrent_runs, tag_concurrency_limits=list(tag_limits(limits))
        )
    pools = copy(dagster.pool_config, default_pool_limit=limits.default_pool_limit)
    return copy(dagster, run_queue_config=queue, pool_config=pools)


def tag_limits(limits: Concurrency) -> Iterator[dict[str, Any]]:
    """The limits by tag, as Dagster's setting `tag_concurrency_limits` has them."""
    for key, tag in limits.tags.items():
        if tag.limit is not None:
            yield {"key": key, "limit": tag.limit}
        if tag.each_value is not None:
            yield {"key": key, "value": {"applyLimitPerUniqueValue": True}, "limit": tag.each_value}
        for value, limit in tag.values.items():
            yield {"key": key, "value": value, "limit": limit}


def refuse_misplaced(settings: Mapping[str, Any]) -> None:
    """Refuse what dagster.yaml says of these limits, which would change nothing.

    Raises:
        UserError: it says something of them.
    """
    for (section, key), place in _PLACES.items():
        if key in settings.get(section, {}):
            raise UserError(
                f"dagster.yaml has concurrency.{section}.{key}, which platform.yaml decides",
                f"remove it there, and give {place} in platform.yaml",
            )
