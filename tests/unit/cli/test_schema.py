import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway.cli import schema as verb
from slipway.config import schema
from slipway.config.errors import UserError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources whose generated files were never written."""
    (tmp_path / "schema").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / verb.PAGE).write_text(f"# Before\n{verb.BEGIN}stale\n{verb.END}after\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> str:
    return CliRunner().invoke(verb.command, arguments, catch_exceptions=False).output


def test_prints_the_schema() -> None:
    assert json.loads(run()) == schema.schema()


def test_check_fails_until_written_and_write_keeps_the_rest_of_the_page(tree: Path) -> None:
    with pytest.raises(UserError, match=r"schema/platform.schema.json and docs/platform-yaml.md: not as"):
        run("--check")
    assert run("--write") == "wrote schema/platform.schema.json\nwrote docs/platform-yaml.md\n"
    assert run("--check") == ""
    assert run("--write") == ""
    page = (tree / verb.PAGE).read_text()
    assert page.startswith(f"# Before\n{verb.BEGIN}| key |")
    assert page.endswith(f"{verb.END}after\n")
    assert "stale" not in page


def test_a_page_without_marks_is_left_alone(tree: Path) -> None:
    (tree / verb.PAGE).write_text("# Mine\n")
    with pytest.raises(UserError, match="has lost the marks"):
        run("--write")
    assert (tree / verb.PAGE).read_text() == "# Mine\n"


def test_outside_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run this in the root"):
        run("--check")
