"""What Slipway's compute-log manager relies on in Dagster: fails loudly when an upgrade changes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import dagster
import pytest
from dagster._core.definitions import instigation_logger
from dagster._core.execution.plan import execute_plan
from dagster._core.storage.compute_log_manager import CapturedLogSubscription, ComputeLogManager

from slipway.logs.manager import RUN_LOGS, SlipwayComputeLogManager


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("capture_logs", ["self", "log_key"]),
        ("open_log_stream", ["self", "log_key", "io_type"]),
        ("is_capture_complete", ["self", "log_key"]),
        ("get_log_data_for_type", ["self", "log_key", "io_type", "offset", "max_bytes"]),
        ("get_log_metadata", ["self", "log_key"]),
        ("delete_logs", ["self", "log_key", "prefix"]),
        ("subscribe", ["self", "log_key", "cursor"]),
        ("unsubscribe", ["self", "subscription"]),
        ("get_log_keys_for_log_key_prefix", ["self", "log_key_prefix", "io_type"]),
        ("dispose", ["self"]),
    ],
)
def test_the_methods_are_upstreams(method: str, parameters: list[str]) -> None:
    for owner in (ComputeLogManager, SlipwayComputeLogManager):
        assert list(inspect.signature(getattr(owner, method)).parameters) == parameters


def test_nothing_that_upstream_asks_for_is_missing() -> None:
    assert SlipwayComputeLogManager.__abstractmethods__ == frozenset()


def test_the_log_key_of_a_run_is_as_we_read_it() -> None:
    build: Callable[..., Any] = ComputeLogManager.build_log_key_for_run
    assert build(object(), "run", "step") == ["run", RUN_LOGS, "step"]


def test_a_subscription_is_served_by_fetch_and_complete() -> None:
    assert list(inspect.signature(CapturedLogSubscription.fetch).parameters) == ["self"]
    assert list(inspect.signature(CapturedLogSubscription.complete).parameters) == ["self"]


def test_a_failure_of_the_capture_becomes_an_event_and_fails_no_step() -> None:
    source = inspect.getsource(execute_plan.inner_plan_execution_iterator)
    assert "_handle_compute_log_setup_error" in source
    assert "_handle_compute_log_teardown_error" in source


def test_ticks_log_json_lines_of_text_to_stderr() -> None:
    source = inspect.getsource(instigation_logger)
    assert "open_log_stream(\n                        self._log_key, ComputeIOType.STDERR" in source
    assert 'json.dumps(record_dict, default=str, sort_keys=True) + "\\n"' in source


def test_dagster_is_one_of_the_supported_versions() -> None:
    assert dagster.__version__.startswith(("1.12.", "1.13."))
