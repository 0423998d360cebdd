from pathlib import Path

import pytest

from slipway.config.base import Image
from slipway.config.errors import UserError
from slipway.config.model import CodeLocation
from slipway.ops.processes.environments import choose, environment

HERE = {"3.11": Path("/opt/python3.11"), "3.13": Path("/opt/python3.13")}


def location(python: str) -> CodeLocation:
    return CodeLocation(path="shop", image=Image(repository="r", tag="1"), python=python)


def project(folder: Path, requires: str) -> Path:
    (folder / "pyproject.toml").write_text(f'[project]\nname = "shop"\nrequires-python = "{requires}"\n')
    return folder


def test_the_version_that_is_asked_for_is_taken_without_a_word(tmp_path: Path) -> None:
    choice = choose("shop", location("3.11"), project(tmp_path, ">=3.11,<3.14"), HERE.get)
    assert (choice.version, choice.python, choice.remark) == ("3.11", HERE["3.11"], None)


def test_another_one_that_the_project_allows_is_taken_and_said(tmp_path: Path) -> None:
    choice = choose("shop", location("3.12"), project(tmp_path, ">=3.11,<3.13"), HERE.get)
    assert choice.version == "3.11"
    assert choice.remark is not None
    assert "shop runs on Python 3.11 here: 3.12" in choice.remark


def test_a_patch_level_in_requires_python_excludes_no_minor_version(tmp_path: Path) -> None:
    assert choose("shop", location("3.12"), project(tmp_path, ">=3.11.4"), HERE.get).version == "3.13"


def test_a_missing_interpreter_says_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        choose("shop", location("3.12"), project(tmp_path, "==3.12.*"), HERE.get)
    assert "'shop' needs Python 3.12, and this machine has none" in caught.value.message
    assert caught.value.hint is not None
    assert "code_locations.shop.python" in caught.value.hint


def test_a_location_without_a_lock_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'shop' has no lock"):
        environment("shop", location("3.11"), tmp_path, tmp_path / "environments")
