"""`slipway profile` without a running platform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slipway.cli.profile import command
from slipway.config.errors import UserError

PLATFORM = """
infrastructure:
  resource_profiles:
    small: {requests: {cpu: 250m}, limits: {cpu: 500m, memory: 1Gi}}
    huge: {limits: {cpu: "999", memory: 4096Gi}}
    promised: {requests: {memory: 4096Gi}, limits: {memory: 4096Gi}}
code_locations:
  shop: {path: ., image: {repository: r, tag: t}, profile: small}
"""


@pytest.fixture(autouse=True)
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "platform.yaml").write_text(PLATFORM)
    for name in ("SLIPWAY_RUNTIME", "SLIPWAY_PLATFORM", "SLIPWAY_PLATFORM_JSON", "SLIPWAY_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_list_has_every_profile_and_who_names_it() -> None:
    found = {row["name"]: row for row in json.loads(call("list", "--json").stdout)}
    assert set(found) == {"default", "small", "huge", "promised"}
    assert found["small"]["used_by"] == ["shop"]
    assert found["small"]["requests"] == {"cpu": "250m", "memory": None}
    assert found["default"]["used_by"] == ["defaults"]
    text = call("list").stdout
    assert "small     250m … 500m" in text
    assert "512MiB" in text


def test_show_lowers_to_this_host_as_a_launch_would_and_says_so() -> None:
    found = json.loads(call("show", "huge", "--json").stdout)
    assert found["profile"]["limits"]["cpu"] == found["host"]["cpu"]
    assert any("the CPU limit of 999 is more than this host's" in text for text in found["warnings"])
    assert "used by: nothing in platform.yaml" in call("show", "huge").stdout
    assert (
        "warning: a run would be refused: profile 'promised' requests 4096 GiB"
        in call("show", "promised").stdout
    )


def test_a_location_needs_no_running_platform() -> None:
    text = call("explain", "--location", "shop").stdout
    assert "whose job and assets ask for nothing: profile 'small', by rule 'location'" in text
    found = json.loads(call("explain", "--location", "shop", "--profile", "default", "--json").stdout)
    assert (found["profile"]["name"], found["rule"]) == ("default", "run")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["show", "smal"], "platform.yaml has no resource profile 'smal'", "did you mean 'small'?"),
        (["explain", "--location", "shoop"], "no code location 'shoop'", "did you mean 'shop'?"),
        (["explain", "--location", "shop", "--profile", "smal"], "no resource profile 'smal'", "'small'?"),
        (["explain", "--run", "x"], "this shell knows of no running platform", ". .slipway/env"),
        (["explain", "--job", "x"], "this shell knows of no running platform", ". .slipway/env"),
    ],
)
def test_a_mistake_is_said(arguments: list[str], message: str, hint: str | None) -> None:
    error = call(*arguments).exception
    assert isinstance(error, UserError)
    assert message in error.message
    assert (hint or "") in (error.hint or "")


@pytest.mark.parametrize("arguments", [["explain"], ["explain", "--run", "x", "--job", "y"]])
def test_a_wrong_call_is_said(arguments: list[str]) -> None:
    assert call(*arguments).exit_code == 2
