"""What a code server gets of platform.yaml beside its container's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.code_server import environment
from slipway.config.errors import UserError
from slipway.config.model import Platform


def platform(**env: object) -> Platform:
    shop = {"path": "shop", "image": {"repository": "r", "tag": "t"}, "env": env}
    return Platform.model_validate({"code_locations": {"shop": shop}})


def test_files_are_read_and_everything_else_is_the_containers(tmp_path: Path) -> None:
    secret = tmp_path / "it's a $file"
    secret.write_bytes(b" \ttwo  words \r\n\n")
    found = platform(
        KEY={"file": str(secret)}, PLAIN="text", OTHER={"env": "X"}, POD={"secret": {"name": "a", "key": "b"}}
    )
    assert environment.from_files(found, "shop") == {"KEY": "two  words"}


def test_a_relative_path_starts_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("value")
    monkeypatch.chdir(tmp_path)
    assert environment.from_files(platform(KEY={"file": "secret"}), "shop") == {"KEY": "value"}


def test_a_missing_file_is_named_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"code_locations\.shop\.env\.KEY: file .*: No such file"):
        environment.from_files(platform(KEY={"file": str(tmp_path / "none")}), "shop")


def test_an_unknown_location_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match="no code location named store\nit has: shop"):
        environment.from_files(platform(), "store")


def test_no_location_is_told() -> None:
    with pytest.raises(UserError, match="SLIPWAY_LOCATION"):
        environment.location({})
