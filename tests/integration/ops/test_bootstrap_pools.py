"""Pools of platform.yaml in Dagster's storage, and those that are somebody else's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from dagster import DagsterInstance

import platform_home
from slipway.config.loader import parse
from slipway.ops.bootstrap_pools import ensure_pools


class Pools:
    """The instance's pools, under a platform.yaml that changes."""

    def __init__(self, env: Mapping[str, str], instance: DagsterInstance) -> None:
        self._env = env
        self.storage = instance.event_log_storage

    def bootstrap(self, text: str) -> list[str]:
        """What a start of the platform with this platform.yaml reports."""
        Path(self._env["SLIPWAY_PLATFORM"]).write_text(text)
        return list(ensure_pools(parse(text, "platform.yaml"), self._env))

    def limits(self) -> dict[str, tuple[int, bool]]:
        """The limit of each pool, and whether it is the default."""
        return {limit.name: (limit.limit, limit.from_default) for limit in self.storage.get_pool_limits()}

    def slots(self, name: str) -> int:
        return self.storage.get_concurrency_info(name).slot_count


@pytest.fixture
def pools(platform_env: Mapping[str, str], tmp_path: Path) -> Iterator[Pools]:
    env = platform_home.environment(tmp_path, "{}", platform_env)
    with platform_home.instance(env) as instance:
        yield Pools(env, instance)


def test_declared_pools_have_their_limit_and_a_repetition_changes_nothing(pools: Pools) -> None:
    text = "concurrency: {pools: {lathe: 3, 'db:main/x': 0}}"
    assert pools.bootstrap(text) == ["The pool db:main/x has a limit of 0", "The pool lathe has a limit of 3"]
    assert pools.limits() == {"lathe": (3, False), "db:main/x": (0, False)}
    assert pools.bootstrap(text) == []
    assert pools.bootstrap("concurrency: {pools: {lathe: 2, 'db:main/x': 0}}") == [
        "The pool lathe has a limit of 2 instead of 3"
    ]
    assert pools.slots("lathe") == 2


def test_one_that_is_no_longer_declared_has_the_default_again(pools: Pools) -> None:
    pools.bootstrap("concurrency: {pools: {lathe: 3, drill: 2}}")
    assert pools.bootstrap("concurrency: {default_pool_limit: 5, pools: {drill: 2}}") == [
        "The pool lathe has the default limit again"
    ]
    assert pools.limits() == {"lathe": (5, True), "drill": (2, False)}
    assert pools.slots("lathe") == 5
    assert pools.bootstrap("concurrency: {default_pool_limit: 5, pools: {drill: 2}}") == []


def test_what_somebody_set_in_the_ui_is_theirs_while_it_is_not_declared(pools: Pools) -> None:
    pools.storage.set_concurrency_slots("theirs", 7)
    pools.bootstrap("concurrency: {pools: {lathe: 3}}")
    pools.storage.set_concurrency_slots("lathe", 9)
    assert pools.bootstrap("{}") == []
    assert pools.limits() == {"theirs": (7, False), "lathe": (9, False)}
    assert pools.bootstrap("concurrency: {pools: {theirs: 2}}") == [
        "The pool theirs has a limit of 2 instead of 7"
    ]


def test_a_changed_default_reaches_the_pools_that_have_it(pools: Pools) -> None:
    pools.bootstrap("{}")
    pools.storage.initialize_concurrency_limit_to_default("lathe")
    assert pools.limits() == {"lathe": (1, True)}
    pools.bootstrap("concurrency: {default_pool_limit: 4}")
    assert (pools.limits(), pools.slots("lathe")) == ({"lathe": (4, True)}, 4)


def test_a_step_that_waits_for_a_pool_has_it_when_the_default_grows(pools: Pools) -> None:
    pools.bootstrap("{}")
    pools.storage.initialize_concurrency_limit_to_default("lathe")
    assert pools.storage.claim_concurrency_slot("lathe", "first", "step").is_claimed
    assert not pools.storage.claim_concurrency_slot("lathe", "second", "step").is_claimed
    pools.bootstrap("concurrency: {default_pool_limit: 2}")
    assert pools.storage.claim_concurrency_slot("lathe", "second", "step").is_claimed


def test_the_pool_of_a_duckdb_file_is_one_and_goes_with_it(pools: Pools) -> None:
    shop = "code_locations: {shop: {path: p, image: {repository: a, tag: b}, duckdb_file: shop.db}}"
    assert pools.bootstrap(f"{{concurrency: {{default_pool_limit: 5}}, {shop}}}") == [
        "The pool duckdb_shop has a limit of 1"
    ]
    assert pools.limits() == {"duckdb_shop": (1, False)}
    assert pools.bootstrap("{}") == ["The pool duckdb_shop has the default limit again"]
