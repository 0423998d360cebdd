"""Python environments of the code locations: each has its own, made from its own lock."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from uv import find_uv_bin

import slipway
from slipway.config.errors import UserError
from slipway.config.model import CodeLocation
from slipway.ops import interpreters

PYTHONS = ("3.13", "3.12", "3.11")
"""Supported versions, the preferred first."""


@dataclass(frozen=True)
class Choice:
    """The interpreter that a location gets here."""

    version: str
    python: Path
    remark: str | None
    """What to tell the user when it is not the one that platform.yaml asks for."""


def choose(
    name: str,
    location: CodeLocation,
    project: Path,
    find: Callable[[str], Path | None] = interpreters.find,
) -> Choice:
    """The interpreter for a location: the version it asks for, or else one that its project allows.

    Raises:
        UserError: this machine has none of them.
    """
    python = find(location.python)
    if python is not None:
        return Choice(location.python, python, None)
    allowed = [version for version in PYTHONS if version != location.python and _allows(project, version)]
    for version in allowed:
        python = find(version)
        if python is not None:
            remark = f"{name} runs on Python {version} here: {location.python}, which platform.yaml asks for, is not installed"
            return Choice(version, python, remark)
    others = f" (it would run on {' or '.join(allowed)} too)" if allowed else ""
    raise UserError(
        f"code location '{name}' needs Python {location.python}{others}, and this machine has none that starts",
        f"install it (Debian, Ubuntu: apt install python{location.python} python{location.python}-venv; macOS: brew install python@{location.python};"
        f" or pyenv install {location.python}), or set code_locations.{name}.python to one that you have",
    )


def _allows(project: Path, version: str) -> bool:
    file = project / "pyproject.toml"
    wanted = (
        tomllib.loads(file.read_text()).get("project", {}).get("requires-python", "") if file.exists() else ""
    )
    return SpecifierSet(wanted).contains(f"{version}.99")


@dataclass(frozen=True)
class Environment:
    """The environment of one location, in a folder whose name changes with what it is made of."""

    name: str
    project: Path
    choice: Choice
    root: Path

    @property
    def lock(self) -> Path:
        """The location's hashed requirements."""
        return self.project / "requirements.txt"

    @property
    def folder(self) -> Path:
        """Where it is."""
        parts = (self.lock.read_bytes(), os.fsencode(self.choice.python.resolve()), os.fsencode(self.project))
        digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
        return self.root / f"{self.name}-{digest}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def complete(self) -> Path:
        """Written last, so that a half-made environment is made again."""
        return self.folder / ".complete"


def environment(name: str, location: CodeLocation, project: Path, root: Path) -> Environment:
    """The environment of a location, made or not.

    Raises:
        UserError: no interpreter, no project or no lock.
    """
    if not (project / "requirements.txt").exists():
        raise UserError(
            f"code location '{name}' has no lock: {project / 'requirements.txt'} is missing",
            "write it with `make lock`"
            if project.is_dir()
            else f"set code_locations.{name}.path to the project's folder",
        )
    return Environment(name, project, choose(name, location, project), root)


def make(target: Environment, uv: Path) -> None:
    """Make an environment; does nothing when it is there.

    Raises:
        subprocess.CalledProcessError: uv failed; it has said why.
    """
    if target.complete.exists():
        return
    shutil.rmtree(target.folder, ignore_errors=True)
    print(f"{target.name}: Python {target.choice.version}, {target.lock}", flush=True)  # noqa: T201 - its log
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    env.pop("VIRTUAL_ENV", None)
    steps: list[list[str | Path]] = [
        ["venv", "--quiet", "--python", target.choice.python, target.folder],
        ["pip", "sync", "--quiet", "--require-hashes", "--python", target.python, target.lock],
    ]
    for step in steps:
        subprocess.run([uv, *step], env=env, check=True)
    _link(target)
    target.complete.touch()
    for old in target.root.glob(f"{target.name}-*"):
        if old != target.folder:
            shutil.rmtree(old, ignore_errors=True)


def _link(target: Environment) -> None:
    """Let it import Slipway and the project from where they are, so that an edit needs no new environment."""
    packages = next(target.folder.glob("lib/python3.*/site-packages"))
    (packages / "slipway").symlink_to(Path(slipway.__file__).parent)
    sources = target.project / "src"
    (packages / "_location.pth").write_text(f"{sources if sources.is_dir() else target.project}\n")


def command(targets: list[Environment]) -> list[str]:
    """The command line of a process that makes environments."""
    uv = Path(find_uv_bin())
    given = [
        (str(uv), t.name, str(t.project), t.choice.version, str(t.choice.python), str(t.root))
        for t in targets
    ]
    return [sys.executable, "-m", "slipway.ops.processes.environments", json.dumps(given)]


def main(argument: str) -> int:
    """Make the environments that `command` named, one process at a time."""
    for uv, name, project, version, python, root in json.loads(argument):
        target = Environment(name, Path(project), Choice(version, Path(python), None), Path(root))
        target.root.mkdir(parents=True, exist_ok=True)
        with (target.root / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                make(target, Path(uv))
            except subprocess.CalledProcessError as error:
                return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
