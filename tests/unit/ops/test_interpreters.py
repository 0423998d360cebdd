import stat
import sys
from pathlib import Path

from slipway.ops import interpreters

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_an_interpreter_on_the_path_is_found(tmp_path: Path) -> None:
    python = script(tmp_path / "bin" / f"python{HERE}", f'exec {sys.executable} "$@"')
    assert interpreters.find(HERE, {"PATH": str(python.parent), "HOME": str(tmp_path)}) == python


def test_a_shim_that_does_not_start_is_passed_over_for_the_version_behind_it(tmp_path: Path) -> None:
    shim = script(tmp_path / "bin" / f"python{HERE}", "exit 127")
    real = script(
        tmp_path / ".pyenv" / "versions" / f"{HERE}.1" / "bin" / "python", f'exec {sys.executable} "$@"'
    )
    assert interpreters.find(HERE, {"PATH": str(shim.parent), "HOME": str(tmp_path)}) == real


def test_a_missing_version_is_none(tmp_path: Path) -> None:
    assert interpreters.find("3.99", {"PATH": str(tmp_path), "HOME": str(tmp_path)}) is None
