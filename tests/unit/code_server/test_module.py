"""Which module has a location's definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.code_server.module import definitions_module
from slipway.config.errors import UserError


@pytest.mark.parametrize(
    ("project", "module"),
    [
        ("", "shop.definitions"),
        ('[tool.dg.project]\nroot_module = "store"', "store.definitions"),
        (
            '[tool.dg.project]\nroot_module = "store"\ncode_location_target_module = "store.defs"',
            "store.defs",
        ),
    ],
)
def test_the_module_is_the_one_that_dg_reads(tmp_path: Path, project: str, module: str) -> None:
    if project:
        (tmp_path / "pyproject.toml").write_text(project)
    assert definitions_module(tmp_path, "shop") == module


@pytest.mark.parametrize("project", [b"[tool", b"\xff"])
def test_a_broken_project_is_named(tmp_path: Path, project: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(project)
    with pytest.raises(UserError, match=r"pyproject\.toml cannot be read"):
        definitions_module(tmp_path, "shop")
