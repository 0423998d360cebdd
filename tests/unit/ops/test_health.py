"""What the health checks make of what they find."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psycopg2
import pytest

from slipway.ops import health


def beats(**ages: float) -> dict[str, float]:
    return {name: time.time() - age for name, age in ages.items()}


def test_fresh_heartbeats_are_health() -> None:
    health.judge(beats(SENSOR=10, QUEUED_RUN_COORDINATOR=100, BACKFILL=9000), since=0)


@pytest.mark.parametrize(
    ("ages", "missing"),
    [
        ({"SENSOR": 10.0}, "QUEUED_RUN_COORDINATOR;"),
        ({"SENSOR": 130.0, "QUEUED_RUN_COORDINATOR": 1.0}, "SENSOR; in seconds ago: {'SENSOR': 130"),
        ({}, "QUEUED_RUN_COORDINATOR, SENSOR"),
    ],
)
def test_a_stale_or_missing_heartbeat_is_named(ages: dict[str, float], missing: str) -> None:
    with pytest.raises(health.Unhealthy, match=missing):
        health.judge(beats(**ages))


def test_a_heartbeat_of_the_pod_before_is_none() -> None:
    with pytest.raises(health.Unhealthy):
        health.judge(beats(SENSOR=20, QUEUED_RUN_COORDINATOR=20), since=time.time() - 10)


def test_process_one_started_after_the_machine_and_before_us() -> None:
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert boot - 1 <= health._started() <= time.time()
    assert Path("/proc/1").exists()


def test_a_daemon_is_not_restarted_for_its_databases_sake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_PLATFORM_JSON", "{}")
    monkeypatch.setenv("SLIPWAY_POSTGRES_URL", "postgresql://slipway@127.0.0.1:1/slipway")
    health.daemon_alive()
    with pytest.raises(psycopg2.OperationalError):
        health.daemon()
    assert os.environ["SLIPWAY_PLATFORM_JSON"] == "{}"
