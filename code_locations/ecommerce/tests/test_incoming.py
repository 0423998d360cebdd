import gzip
from pathlib import Path

import duckdb
import pytest
from slipway.landing import LandedFile

from ecommerce.entities import ENTITIES
from ecommerce.incoming import Incoming

GOOD = b"id,name\n1,Ann\n2,Bob\n"


class Reader:
    """Reads files given as bytes, and keeps what was said of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection = duckdb.connect()
        self.errors: dict[str, str] = {}
        self.incoming = Incoming(self.connection, self._quarantine)

    def _quarantine(self, file: LandedFile, error: str) -> None:
        self.errors[file.key] = error

    def read(self, *files: tuple[str, bytes]) -> None:
        landed = []
        for number, (key, data) in enumerate(files):
            path = self.folder / f"{number:05}-{key.rsplit('/', 1)[-1]}"
            path.write_bytes(data)
            landed.append(LandedFile("bucket", key, f"v{number}", "etag", len(data), path, number))
        self.incoming.read(landed)

    def rows(self, entity: str) -> list[tuple[object, ...]]:
        return self.connection.execute(f"SELECT * FROM memory.main.{entity} ORDER BY ALL").fetchall()


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def test_formats_give_the_same_rows(reader: Reader, tmp_path: Path) -> None:
    lines = b'{"id": "1", "name": "Ann"}\n{"id": "2", "name": "Bob"}\n'
    duckdb.sql("SELECT 1 AS id, 'Ann' AS name UNION ALL SELECT 2, 'Bob'").write_parquet(str(tmp_path / "p"))
    reader.read(
        ("customers/a.csv", GOOD),
        ("customers/b.csv.gz", gzip.compress(GOOD)),
        ("customers/c.jsonl", lines),
        ("customers/d.jsonl.gz", gzip.compress(lines)),
        ("customers/e.parquet", (tmp_path / "p").read_bytes()),
    )
    assert reader.errors == {}
    by_file: dict[object, list[tuple[object, ...]]] = {}
    for *row, key, _ in reader.rows("customers"):
        by_file.setdefault(key, []).append(tuple(row))
    assert len(by_file) == 5
    assert all(rows == [("1", "Ann"), ("2", "Bob")] for rows in by_file.values())


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("customers/x.csv", b"", "the header is ''"),
        ("customers/x.csv", b"id,title\n1,Dr\n", "expected 'id,name'"),
        ("customers/x.csv", b"id,name\n1,Ann,extra\n", "Expected Number of Columns: 2"),
        ("customers/x.csv", b"id,name\n,Ann\n", "a row without id"),
        ("customers/x.csv.gz", b"", "header is ''"),
        ("customers/x.csv.gz", gzip.compress(GOOD * 1000)[:-30], "end-of-stream"),
        ("customers/x.jsonl.gz", gzip.compress(b'{"id": "1", "name": "Ann"}\n' * 9)[:-8], "end-of-stream"),
        ("customers/x.jsonl", b'{"id": "1", "na', "Malformed JSON"),
        ("customers/x.parquet", b"PAR1 not", "parquet"),
        ("orders/x.jsonl", b'{"id": "1", "subtotal": "much"}\n', "much"),
        ("customers/x.txt", GOOD, "not a .csv, .jsonl or .parquet"),
        ("employees/x.csv", GOOD, "no entity is called 'employees'"),
        ("x.csv", GOOD, "no entity is called ''"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_quarantined_and_the_rest_loaded(
    reader: Reader, name: str, data: bytes, said: str
) -> None:
    good = [(f"customers/{number}.csv", f"id,name\n{number},N\n".encode()) for number in range(9)]
    reader.read(*good[:5], (name, data), *good[5:])
    assert list(reader.errors) == [name]
    assert said in reader.errors[name]
    assert str(reader.folder) not in reader.errors[name]
    assert len(reader.rows("customers")) == 9
    assert sorted(file.key for file in reader.incoming.files["customers"]) == [key for key, _ in good]


def test_of_two_versions_of_a_key_the_later_counts(reader: Reader) -> None:
    reader.read(("customers/a.csv", b"id,name\n1,Old\n"), ("customers/a.csv", b"id,name\n1,New\n"))
    assert reader.rows("customers") == [("1", "New", "customers/a.csv", "v1")]


def test_hostile_keys_are_text(reader: Reader) -> None:
    key = "customers/a'; DROP TABLE x --\n.csv"
    path = reader.folder / "00000-safe.csv"
    path.write_bytes(GOOD)
    reader.incoming.read([LandedFile("bucket", key, "v", "etag", 1, path, 1)])
    assert reader.errors == {}
    assert {row[2] for row in reader.rows("customers")} == {key}


def test_no_files_no_rows(reader: Reader) -> None:
    reader.read()
    assert all(reader.rows(entity) == [] for entity in ENTITIES)
