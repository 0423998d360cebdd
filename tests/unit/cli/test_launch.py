"""`slipway launch` where no platform runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway.cli.launch import command
from slipway.config.errors import UserError

NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("env", "message", "hint"),
    [
        ({}, "this shell knows of no running platform", "slipway up"),
        (
            {"SLIPWAY_POSTGRES_URL": f"postgresql://slipway:hidden@{NOBODY}/slipway"},
            f"Postgres at {NOBODY} does not answer",
            "",
        ),
    ],
)
def test_without_a_platform_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], message: str, hint: str
) -> None:
    for name in ("SLIPWAY_RUNTIME", "SLIPWAY_PLATFORM", "SLIPWAY_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)
    given = {"SLIPWAY_PLATFORM_JSON": "{}", "SLIPWAY_STATE": str(tmp_path), **env}
    error = CliRunner().invoke(command, ["--assets", "a"], env=given).exception
    assert isinstance(error, UserError)
    assert message in error.message
    assert hint in (error.hint or "")
    assert "hidden" not in str(error)


def test_what_is_no_tag_or_no_file_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    error = CliRunner().invoke(command, ["--assets", "a", "--tags", "x"]).exception
    assert "--tags x is no tag" in str(error)
    assert CliRunner().invoke(command, ["--assets", "a", "--config", str(tmp_path / "x")]).exit_code == 2
