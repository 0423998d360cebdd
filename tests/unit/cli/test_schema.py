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
    for page in verb.PAGES:
        (tmp_path / page).write_text(f"# Before\n{verb.BEGIN}stale\n{verb.END}after\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> str:
    return CliRunner().invoke(verb.command, arguments, catch_exceptions=False).output


def test_prints_the_schema() -> None:
    assert json.loads(run()) == schema.schema()


FILES = [
    "schema/platform.schema.json",
    "helm/slipway/values.schema.json",
    "helm/slipway/values.yaml",
    "docs/platform-yaml.md",
    "docs/kubernetes-values.md",
]


def test_check_fails_until_written_and_write_keeps_the_rest_of_the_pages(tree: Path) -> None:
    with pytest.raises(UserError) as caught:
        run("--check")
    assert caught.value.message == f"{', '.join(FILES)}: not as the model has it"
    assert run("--write") == "".join(f"wrote {file}\n" for file in FILES)
    assert run("--check") == ""
    assert run("--write") == ""
    for path in verb.PAGES:
        page = (tree / path).read_text()
        assert page.startswith(f"# Before\n{verb.BEGIN}| key |")
        assert page.endswith(f"{verb.END}after\n")
        assert "stale" not in page


@pytest.mark.parametrize("page", verb.PAGES)
def test_a_page_without_marks_is_left_alone(page: Path, tree: Path) -> None:
    (tree / page).write_text("# Mine\n")
    with pytest.raises(UserError, match=f"{page} has lost the marks"):
        run("--write")
    assert (tree / page).read_text() == "# Mine\n"
    assert not (tree / verb.SCHEMA).exists()


def test_outside_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run this in the root"):
        run("--check")
