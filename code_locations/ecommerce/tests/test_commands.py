"""Dagster's own commands work with the project alone; what they execute, they execute in their own process."""

import subprocess
import sys
from pathlib import Path

import pytest

DAGSTER = Path(sys.executable).with_name("dagster")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["definitions", "validate"], "Validation successful"),
        (["job", "execute", "-j", "load_jaffle_shop"], "RUN_SUCCESS"),
    ],
)
def test_dagster(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [DAGSTER, *arguments, "-m", "ecommerce.definitions"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert said in done.stdout + done.stderr
