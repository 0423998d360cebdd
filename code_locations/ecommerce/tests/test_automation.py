"""When the automation conditions ask for a run, and when they do not. What they ask for is never launched here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetMaterialization,
    AutomationConditionSensorDefinition,
    DagsterInstance,
    DefaultSensorStatus,
    FreshnessPolicy,
    evaluate_automation_conditions,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from ecommerce.definitions import defs
from ecommerce.defs.daily import DAYS


class Daemon:
    """Evaluates the conditions of the location as the daemon does, one tick after another."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.cursor: Any = None

    def tick(self) -> set[str]:
        """The assets that this tick asks for."""
        result = evaluate_automation_conditions(defs(), self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return {
            evaluation.key.to_user_string()
            for evaluation in result.results
            if not evaluation.true_subset.is_empty
        }


@pytest.fixture
def daemon(loaded: object, instance: DagsterInstance) -> Daemon:
    """It has run for a while; the tables are there."""
    daemon = Daemon(instance)
    for key in defs().resolve_asset_graph().materializable_asset_keys:
        if not key.path[0].startswith(("daily_", "region")):
            instance.report_runless_asset_event(AssetMaterialization(key))
    passed = AssetCheckEvaluation(
        asset_key=AssetKey("fct_orders"), check_name="orders_not_empty", passed=True, blocking=True
    )
    instance.report_runless_asset_event(passed)
    daemon.tick()
    return daemon


def make(instance: DagsterInstance, asset: str, partition: str | None = None) -> None:
    result = (
        defs()
        .resolve_job_def("__ASSET_JOB")
        .execute_in_process(instance=instance, asset_selection=[AssetKey(asset)], partition_key=partition)
    )
    assert result.success


def test_the_landings_run_makes_everything_and_nothing_is_made_twice(daemon: Daemon) -> None:
    job = defs().resolve_job_def("load_jaffle_shop")
    run = daemon.instance.create_run_for_job(job)
    in_the_middle = [
        daemon.tick()
        for event in execute_run_iterator(InMemoryJob(job), run, daemon.instance)
        if event.is_step_success and event.step_key in ("stg_orders", "fct_orders", "dim_customers")
    ]
    assert in_the_middle == [set()] * 3
    assert [daemon.tick(), daemon.tick()] == [set()] * 2


def test_what_is_made_by_hand_is_followed_once(daemon: Daemon) -> None:
    make(daemon.instance, "stg_orders")
    assert daemon.tick() == {"fct_orders", "revenue_by_store_and_day", "dim_customers"}
    assert daemon.tick() == set()


def test_a_day_is_followed_by_its_regions(daemon: Daemon) -> None:
    last = DAYS.get_last_partition_key()
    make(daemon.instance, "daily_orders", last)
    assert daemon.tick() == {"regional_sales"}
    assert daemon.tick() == set()


def test_the_sensor_that_starts_these_runs_is_on() -> None:
    sensor = defs().get_repository_def().get_sensor_def("automation")
    assert isinstance(sensor, AutomationConditionSensorDefinition)
    assert sensor.default_status is DefaultSensorStatus.RUNNING


def test_orders_are_to_be_built_within_the_hour() -> None:
    spec = defs().resolve_asset_graph().get(AssetKey("fct_orders"))
    assert spec.freshness_policy == FreshnessPolicy.time_window(
        warn_window=timedelta(hours=1), fail_window=timedelta(hours=25)
    )
