"""Gives each code location of platform.yaml an environment of its own in `<location>/.venv`, from its own lock.

`dg` and editors look for it there. Run it again after a change of a lock: .venv/bin/python scripts/location-environments.py
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from uv import find_uv_bin

from slipway import config
from slipway.ops.processes.environments import choose

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Make or update every location's environment."""
    for name, location in config.current().code_locations.items():
        project = ROOT / location.path
        choice = choose(name, location, project)
        python = project / ".venv" / "bin" / "python"
        if not python.exists():
            uv("venv", "--python", choice.python, project / ".venv")
        uv("pip", "sync", "--require-hashes", "--python", python, project / "requirements.txt")
        uv("pip", "install", "--no-deps", "--python", python, "--editable", ROOT, "--editable", project)
        print(f"{name}: {project / '.venv'}, Python {choice.version}")  # noqa: T201


def uv(*arguments: str | Path) -> None:
    """Run uv; its own message says what went wrong."""
    subprocess.run([find_uv_bin(), *arguments, "--quiet"], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
