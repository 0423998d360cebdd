"""Finds the Pythons of a laptop, among them those that pyenv keeps off the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path


def find(version: str, env: Mapping[str, str] = os.environ) -> Path | None:
    """An interpreter of a version such as `3.13`, or None. One that does not start (a pyenv shim whose
    version is not selected) is passed over."""
    return next((path for path in _candidates(version, env) if _version(path) == version), None)


def _candidates(version: str, env: Mapping[str, str]) -> Iterator[Path]:
    for name in (f"python{version}", "python3", "python"):
        found = shutil.which(name, path=env.get("PATH"))
        if found:
            yield Path(found)
    pyenv = Path(env.get("PYENV_ROOT") or Path(env.get("HOME", "/")) / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)


def _version(python: Path) -> str | None:
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [python, "-c", question], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
