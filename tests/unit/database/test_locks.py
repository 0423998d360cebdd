"""Advisory locks are the database's, and so are their keys: whoever takes another's waits for it, or for itself."""

import re
from collections import Counter
from pathlib import Path

import slipway

LOCK = re.compile(r"^\w*LOCK = (0x[0-9A-F_]+)$", re.MULTILINE)


def test_no_two_locks_have_one_key() -> None:
    files = Path(slipway.__file__).parent.rglob("*.py")
    keys = Counter(int(key, 16) for file in files for key in LOCK.findall(file.read_text()))
    assert len(keys) >= 4
    assert [hex(key) for key, count in keys.items() if count > 1] == []
