"""The extra `snowflake` of the ecommerce location, from its own lock, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
LOCATION = ROOT / "code_locations" / "ecommerce"

SCRIPT = """
from dagster_snowflake_pandas import SnowflakePandasIOManager
from ecommerce.definitions import defs
found = defs().resources["io_manager"]
assert isinstance(found, SnowflakePandasIOManager), found
print(found.database, found.schema_)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("snowflake") / "venv"
    python = folder / "bin" / "python"
    install = ["pip", "install", "--quiet", "--python", python]
    for arguments in (
        ["venv", "--quiet", "--python", sys.executable, folder],
        [*install, "--require-hashes", "-r", LOCATION / "requirements-snowflake.txt"],
        [*install, "--no-deps", "--editable", ROOT, "--editable", LOCATION],
    ):
        subprocess.run([find_uv_bin(), *arguments], check=True)
    return python


def run(python: Path, *arguments: str, folder: Path) -> str:
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLIPWAY_", "DAGSTER_", "SNOWFLAKE_"))
    }
    done = subprocess.run(
        [python, *arguments],
        cwd=folder,
        env={**env, "DAGSTER_ENV": "snowflake"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_definitions_load_with_snowflake(python: Path, tmp_path: Path) -> None:
    """Without an account: its name and key are asked for when a run starts."""
    assert "ANALYTICS reports" in run(python, "-c", SCRIPT, folder=tmp_path)
    validate = ("-m", "dagster", "definitions", "validate", "-m", "ecommerce.definitions")
    assert "successful" in run(python, *validate, folder=tmp_path)
