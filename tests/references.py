"""References from the documentation into the code: `name` in [file:12](path#L12).

The line follows from the name. `python tests/references.py` writes the lines as they are now (`make format` does), and a
test fails when one is stale or a name is gone.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

REFERENCE = re.compile(r"`([\w.*{}/ -]+)` in \[([^\]:]+):(\d+)\]\(([^)#\s]+)#L(\d+)\)")


@dataclass(frozen=True)
class Lost:
    """A reference that leads nowhere."""

    page: Path
    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: there is no {self.name} in {self.path}"


def line_of(name: str, file: Path) -> int | None:
    """The line on which a file defines a name; of a file that is no Python, the first that has it."""
    if not file.is_file():
        return None
    text = file.read_text()
    if file.suffix != ".py":
        return next((number for number, line in enumerate(text.splitlines(), 1) if name in line), None)
    return dict(_defined(ast.parse(text), "")).get(name)


def _defined(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    for child in getattr(node, "body", []):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield f"{prefix}{child.name}", child.lineno
            if isinstance(child, ast.ClassDef):
                yield from _defined(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.Assign):
            yield from (
                (f"{prefix}{target.id}", child.lineno)
                for target in child.targets
                if isinstance(target, ast.Name)
            )
        elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            yield f"{prefix}{child.target.id}", child.lineno


def refreshed(page: Path) -> tuple[str, list[Lost]]:
    """A page with the lines as they are now, and what it refers to in vain."""
    lost: list[Lost] = []

    def renew(found: re.Match[str]) -> str:
        name, label, _, path, _ = found.groups()
        line = line_of(name, (page.parent / path).resolve())
        if line is None:
            lost.append(Lost(page, name, path))
            return found[0]
        return f"`{name}` in [{label}:{line}]({path}#L{line})"

    return REFERENCE.sub(renew, page.read_text()), lost


def main() -> int:
    """Write every page; exit code 1 when a reference leads nowhere."""
    lost: list[Lost] = []
    for page in PAGES:
        text, missing = refreshed(page)
        lost += missing
        if text != page.read_text():
            page.write_text(text)
    for one in lost:
        print(one, file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
