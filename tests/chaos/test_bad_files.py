"""Files that no one should send, through daemon, code server and run worker: what the user reads about each."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pytest
from botocore.exceptions import ClientError

from chaos_world import BUCKET, World
from waiting import until

HOSTILE = [
    'bad/it\'s "quoted".csv',
    "bad/ two  spaces .csv",
    "bad/../../etc/passwd.csv",
    "bad/'; DROP TABLE orders; --.csv",
    "bad/$(reboot)`%s%n{0}.csv",
    "bad/\u202etxt.csv",
    "bad/new\nline.csv",
]


def parquet(folder: Path, key: str) -> bytes:
    file = folder / "x.parquet"
    duckdb.sql(f"SELECT '{key}' AS key, 1 AS version, range AS line FROM range(1000)").write_parquet(
        str(file)
    )
    return file.read_bytes()


@pytest.fixture(scope="module")
def landed(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What the ledger says of each file, by key."""
    whole = parquet(tmp_path_factory.mktemp("parquet"), "bad/good.parquet")
    csv = b"key,version,line\nx,1,1\n"
    files = {
        "bad/good.parquet": whole,
        "bad/corrupt.parquet": whole[:4] + bytes(len(whole) - 8) + whole[-4:],
        "bad/cut.parquet": whole[: len(whole) // 2],
        "bad/header.csv": b"id,amount\n1,2\n",
        "bad/empty.csv": b"",
        "bad/zero.csv.gz": b"",
        "bad/cut.csv.gz": gzip.compress(csv * 1000)[:40],
        "bad/no-gzip.csv.gz": csv,
        "bad/zeros.csv": b"key,version,line\n\0\0,\0,\0\n",
        **dict.fromkeys(HOSTILE, csv),
    }
    expected = set(files)
    for key, body in files.items():
        try:
            world.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        except ClientError:
            assert "\n" in key, "a line end is all that a store may refuse, as the embedded one does"
            expected.remove(key)

    def objects() -> list[dict[str, object]]:
        found: list[dict[str, object]] = world.json("landing", "list", "inbox", "--prefix", "bad/")["objects"]
        return found

    until(
        lambda: {one["key"] for one in objects() if one["state"] in ("done", "quarantined")} >= expected,
        240,
        "every file is done or quarantined",
    )
    return {str(one["key"]): one for one in objects()}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("bad/corrupt.parquet", "corrupt.parquet"),
        ("bad/cut.parquet", "No magic bytes found"),
        ("bad/header.csv", "ValueError: the header is 'id,amount', expected 'key,version,line'"),
        ("bad/empty.csv", "ValueError: the header is '', expected 'key,version,line'"),
        ("bad/zero.csv.gz", "ValueError: the header is '', expected 'key,version,line'"),
        ("bad/cut.csv.gz", "EOFError: Compressed file ended before the end-of-stream marker"),
        ("bad/no-gzip.csv.gz", "BadGzipFile: Not a gzipped file"),
        ("bad/zeros.csv", "Could not convert string"),
    ],
)
def test_a_file_that_cannot_be_read_is_quarantined_with_its_error(
    world: World, landed: dict[str, dict[str, object]], key: str, said: str
) -> None:
    assert landed[key]["state"] == "quarantined"
    assert said in str(landed[key]["error"])
    assert said in world.slipway("landing", "show", key).stdout


def test_keys_of_any_text_are_loaded_as_they_are(world: World, landed: dict[str, dict[str, object]]) -> None:
    hostile = [key for key in HOSTILE if key in landed]
    assert [landed[key]["state"] for key in hostile] == ["done"] * len(hostile)
    rows = world.json("sql", "SELECT file FROM shop.orders WHERE file LIKE 'bad/%.csv'")
    assert sorted(row["file"] for row in rows) == sorted(hostile)
    listed = world.slipway("landing", "list", "inbox", "--prefix", "bad/").stdout
    assert "\\u202etxt.csv" in listed
    assert "\u202e" not in listed


def test_the_good_file_among_them_is_loaded(world: World, landed: dict[str, dict[str, object]]) -> None:
    assert landed["bad/good.parquet"]["state"] == "done"
    assert world.json("sql", "SELECT count(*) AS n FROM shop.orders WHERE file = 'bad/good.parquet'") == [
        {"n": 1000}
    ]
