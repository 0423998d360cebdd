"""What keeps a rollback harmless: after the first, migrations only add. A version works on what the next one made."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

VERSIONS = Path(__file__).parents[3] / "src/slipway/database/migrations/versions"

TAKES_AWAY = re.compile(
    r"\b(DROP|RENAME|SET NOT NULL|ALTER COLUMN|TRUNCATE|DELETE FROM|SET DATA TYPE)\b|NOT NULL(?! DEFAULT)",
    re.IGNORECASE,
)
NEW_TABLE = re.compile(r"CREATE TABLE.*", re.IGNORECASE | re.DOTALL)


def takes_away(statement: str) -> bool:
    return not NEW_TABLE.match(statement.strip()) and TAKES_AWAY.search(statement) is not None


@pytest.mark.parametrize(
    "file", sorted(path for path in VERSIONS.glob("*.py") if not path.name.startswith("0001"))
)
def test_a_migration_only_adds(file: Path) -> None:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.STATEMENTS
    assert [statement for statement in module.STATEMENTS if takes_away(statement)] == []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER TABLE a ADD COLUMN b text", False),
        ("ALTER TABLE a ADD COLUMN b text NOT NULL DEFAULT ''", False),
        ("ALTER TABLE a ADD COLUMN b text NOT NULL", True),
        ("ALTER TABLE a DROP COLUMN b", True),
        ("ALTER TABLE a RENAME COLUMN b TO c", True),
        ("CREATE TABLE a (b text NOT NULL)", False),
    ],
)
def test_what_takes_away_is_recognised(statement: str, expected: bool) -> None:
    assert takes_away(statement) is expected
