import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

BAD = """\
lake:
  bukcet: x
defaults: {profile: nope}
"""


def slipway(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from slipway.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60)


def test_the_platform_of_this_repository_is_valid() -> None:
    result = slipway("check", cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("platform.yaml is valid: ")


def test_all_mistakes_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    result = slipway("check", "bad.yaml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "error: bad.yaml has 2 errors:\n"
        "  bad.yaml:2: lake.bukcet: unknown key; did you mean 'bucket'?\n"
        "  bad.yaml:3: defaults.profile: there is no resource profile 'nope'; there is: default\n"
        "help: docs/platform-yaml.md describes every key\n"
    )


def test_json(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    result = slipway("check", "bad.yaml", "--json", cwd=tmp_path)
    assert result.returncode == 2
    answer = json.loads(result.stdout)
    assert (answer["file"], answer["valid"], len(answer["errors"])) == ("bad.yaml", False, 2)
    assert answer["errors"][0] == {
        "file": "bad.yaml",
        "line": 2,
        "column": 3,
        "path": "lake.bukcet",
        "message": "unknown key",
        "hint": "did you mean 'bucket'?",
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_no_file(tmp_path: Path, as_json: bool) -> None:
    result = slipway("check", *(["--json"] if as_json else []), cwd=tmp_path)
    assert result.returncode == 2
    assert "there is no file platform.yaml" in (result.stdout if as_json else result.stderr)
    assert "Traceback" not in result.stderr
    if as_json:
        assert json.loads(result.stdout)["errors"][0]["line"] is None


def test_an_empty_file_is_a_platform(tmp_path: Path) -> None:
    (tmp_path / "platform.yaml").write_text("")
    result = slipway("check", "--json", cwd=tmp_path)
    assert (result.returncode, json.loads(result.stdout)) == (
        0,
        {"file": "platform.yaml", "valid": True, "errors": []},
    )
