"""Runs as pods: what they get, what they may not do, and what is said when they die."""

from __future__ import annotations

import json

from dagster import DagsterRunStatus

from launching import Launching
from pods import Namespace
from slipway.launch import sweep


def test_a_run_is_a_pod_with_its_profiles_limits(launcher: Launching, namespace: Namespace):
    run_id = launcher.run("surroundings_job")
    assert launcher.finished(run_id) is DagsterRunStatus.SUCCESS, launcher.story(run_id)
    found = launcher.materialization("surroundings")
    assert json.loads(found["duckdb"])["memory_limit"] == "512.0 MiB"
    sweep(launcher.instance)
