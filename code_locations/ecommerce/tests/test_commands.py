"""Dagster's own commands work with the project alone; what they execute, they execute in their own process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from slipway.resources import LakeResource


def dagster(*arguments: str, folder: Path) -> str:
    command = [sys.executable, "-m", "dagster", *arguments, "-m", "ecommerce.definitions"]
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_a_range_of_partitions_from_the_command_line(loaded: LakeResource, tmp_path: Path) -> None:
    select = ("asset", "materialize", "--select", "daily_orders")
    dagster(*select, "--partition-range", "2018-09-01...2018-09-30", folder=tmp_path)
    with loaded.connect(read_only=True) as connection:
        made = "SELECT CAST(day AS VARCHAR), sum(orders) FROM daily.daily_orders GROUP BY ALL ORDER BY ALL"
        facts = "SELECT CAST(order_date AS VARCHAR), count(*) FROM marts.fct_orders GROUP BY ALL ORDER BY ALL"
        assert connection.execute(made).fetchall() == connection.execute(facts).fetchall()


def test_a_job(tmp_path: Path) -> None:
    assert "RUN_SUCCESS" in dagster("job", "execute", "-j", "load_jaffle_shop", folder=tmp_path)


def test_the_definitions_are_valid(tmp_path: Path) -> None:
    assert "successful" in dagster("definitions", "validate", folder=tmp_path)
