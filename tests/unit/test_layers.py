"""Who may import what: the picture of docs/design.md, held by reading every import of src/slipway.

Base parts are what a location's image has; there, the extras of the platform and the laptop are not installed.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "slipway"

# What each part may import of Slipway, itself aside.
BASE: dict[str, set[str]] = {
    "config": set(),
    "aws": {"config"},
    "profiles": {"config"},
    "memory": {"config"},
    "instance": {"config"},
    "storage": {"config", "memory"},
    "logs": {"config", "aws"},
    "database": set(),
    "identity": {"config", "aws", "database"},
    "landing": {"config", "aws", "database", "identity", "memory"},
    "resources": {"config", "aws", "profiles", "identity"},
    "worker": {"profiles"},
    "draining": set(),
    "code_server": {"config", "draining"},
}
SERVICES: dict[str, set[str]] = {
    "launch": {"config", "profiles", "memory"},
    "rollout": set(),
    "daemon": {"config", "aws", "database", "landing", "launch", "identity", "profiles", "memory", "rollout"},
    "webserver": {"draining", "rollout"},
    "gate": {"config"},
    "embedded": set(),
    "demo_data": {"config", "aws"},
    "ops": {*BASE, "launch", "rollout", "daemon", "webserver", "gate", "embedded", "demo_data"},
    "cli": {*BASE, "launch", "rollout", "daemon", "webserver", "gate", "embedded", "demo_data", "ops"},
}
ALLOWED = {**BASE, **SERVICES}

EXTRAS = {
    "aiohttp",
    "click",
    "dagster_graphql",
    "dagster_k8s",
    "dagster_webserver",
    "docker",
    "jafgen",
    "kubernetes",
    "moto",
    "rich",
    "uv",
    "uvicorn",
}
"""Modules that base parts do not import: what the extras `platform` and `embedded` are for."""

ABSENT = EXTRAS - {"click", "rich"}
"""Those of them that no location's image has. Dagster itself brings the others."""

OPTIONAL = {"slipway.resources.frames"}
"""Modules of base parts that need what a location installs for them alone, and that are loaded when they are used."""

OF_THOSE = {"dagster_duckdb", "dagster_duckdb_pandas", "pandas"}

FOR_LOCATIONS = {"slipway.landing", "slipway.resources"}


@dataclass(frozen=True)
class Import:
    """One import of one file."""

    file: Path
    line: int
    module: str

    def __str__(self) -> str:
        place = self.file.relative_to(ROOT) if self.file.is_relative_to(ROOT) else self.file
        return f"{place}:{self.line} imports {self.module}"


def imports(file: Path, package: Sequence[str] = ()) -> Iterator[Import]:
    """Every import of a file, inside functions too, except those that only a type checker sees.

    Args:
        file: a Python file.
        package: the package that the file is in, for relative imports.
    """
    tree = ast.parse(file.read_text(), str(file))
    ignored = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in ignored:
            continue
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *(node.module or "").split("."))).strip(".")
            # `from slipway import config` names a part only with its last word.
            yield from (Import(file, node.lineno, f"{base}.{alias.name}") for alias in node.names)


def part_of(module: str) -> str | None:
    """The part of Slipway that a module belongs to."""
    names = module.split(".")
    return names[1] if names[0] == "slipway" and len(names) > 1 and names[1] != "__version__" else None


def forbidden(part: str, found: Iterator[Import]) -> list[str]:
    """The imports that a part may not have."""
    return [
        str(one)
        for one in found
        if ((other := part_of(one.module)) is not None and other != part and other not in ALLOWED[part])
        or (part in BASE and one.module.split(".")[0] in EXTRAS)
    ]


def files_of(part: str) -> list[Path]:
    single = PACKAGE / f"{part}.py"
    return [single] if single.exists() else sorted((PACKAGE / part).rglob("*.py"))


def package_of(file: Path) -> tuple[str, ...]:
    return file.relative_to(PACKAGE.parent).parent.parts


def test_every_part_has_its_place_in_the_picture() -> None:
    parts = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__", "__main__"} == set(ALLOWED)


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_a_part_imports_only_what_it_may_know(part: str) -> None:
    files = files_of(part)
    assert files
    assert forbidden(part, (one for file in files for one in imports(file, package_of(file)))) == []


def test_the_picture_has_no_circles() -> None:
    def below(part: str, above: tuple[str, ...]) -> None:
        assert part not in above, " -> ".join((*above, part))
        for other in ALLOWED[part]:
            below(other, (*above, part))

    for part in ALLOWED:
        below(part, ())


def location_files() -> list[Path]:
    return sorted(
        file
        for file in (ROOT / "code_locations").rglob("*.py")
        if not {".venv", "build", "__pycache__"} & set(file.parts)
    )


def test_a_code_location_imports_only_landing_and_resources() -> None:
    files = location_files()
    assert files
    foreign = [
        str(one)
        for file in files
        for one in imports(file)
        if one.module.split(".")[0] == "slipway"
        and not any(f"{one.module}.".startswith(f"{allowed}.") for allowed in FOR_LOCATIONS)
    ]
    assert foreign == []


def test_a_launcher_imports_no_code_location() -> None:
    locations = {path.parent.name for path in (ROOT / "code_locations").glob("*/pyproject.toml")}
    assert locations
    named = [
        str(one)
        for file in sorted(PACKAGE.rglob("*.py"))
        for one in imports(file, package_of(file))
        if one.module.split(".")[0] in locations | {"code_locations"}
    ]
    assert named == []


@pytest.mark.parametrize("part", sorted(BASE))
def test_a_base_part_loads_where_the_extras_are_not_installed(part: str) -> None:
    """What is imported from further away counts too: each module is loaded with the extras out of reach."""
    modules = [
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in files_of(part)
        # Alembic runs these itself, on a connection.
        if "migrations" not in file.parts and file.name != "__main__.py"
    ]
    modules = [name for name in modules if name not in OPTIONAL]
    script = f"""
import importlib, sys
for name in {sorted(ABSENT | OF_THOSE)!r}:
    sys.modules[name] = None
for name in {modules!r}:
    importlib.import_module(name)
"""
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr


def test_a_wrong_import_is_named_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "from slipway import config, launch\n"
        "from ..gate import policy\n"
        "if TYPE_CHECKING:\n"
        "    import docker\n"
        "def late():\n"
        "    import docker.errors\n"
    )
    assert forbidden("logs", imports(file, ("slipway", "logs"))) == [
        f"{file}:2 imports slipway.launch",
        f"{file}:3 imports slipway.gate.policy",
        f"{file}:7 imports docker.errors",
    ]
