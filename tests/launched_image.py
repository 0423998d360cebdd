"""What the image of the location `launched` is built from: the sources, and another Dagster than the platform's."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OTHER_DAGSTER = "1.12"
"""The location's Dagster: an older one than the platform's."""


def fill(context: Path) -> None:
    """Put into a folder what `docker build` needs; its cache keeps what was installed while the dependencies are the same."""
    shutil.copy(ROOT / "tests" / "stack" / "launch" / "Dockerfile", context)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", context / "src", ignore=ignore)
    shutil.copytree(ROOT / "tests" / "launched", context / "launched", ignore=ignore)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    others = {
        "dagster>=1.12,<1.14": f"dagster=={OTHER_DAGSTER}.*",
        "dagster-postgres>=0.28,<0.30": "dagster-postgres==0.28.*",
    }
    requirements = [others.pop(line, line) for line in project["dependencies"]]
    assert not others
    (context / "requirements.txt").write_text("\n".join(requirements))
