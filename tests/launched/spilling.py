"""Queries over more data than fits, made by DuckDB as it reads them: nothing of it is stored but what is spilled."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb

from slipway.resources.duckdb import open_connection
from slipway.resources.scratch import naming_the_scratch

PAYLOAD = 63 * 16
ROW = 8 + PAYLOAD
"""Bytes of a row to sort or to join: a key, and digests, which nothing compresses."""
PAYLOADS = 1024
COLUMNS = 64
"""Of eight bytes each, of a row to aggregate."""


class Work(dg.Config):
    query: str
    bytes: int


@dg.op
def spill(context: dg.OpExecutionContext, config: Work) -> None:
    """Sort, join or aggregate so many bytes, check the result, and tell what it took."""
    with measured() as took, open_connection() as connection, naming_the_scratch(os.environ):
        QUERIES[config.query](connection, config.bytes)
    context.log.info(json.dumps({"query": config.query, **took}))


def sort(connection: duckdb.DuckDBPyConnection, size: int) -> None:
    rows, source = wide_rows(connection, size, 1)
    found = one_row(
        connection,
        "SELECT count(*), count(*) FILTER (before <= key), sum(key), sum(hash(payload) % 1000000007) FROM"
        f" (SELECT *, lag(key, 1, 0::UBIGINT) OVER () AS before FROM (FROM ({source}) ORDER BY key))",
    )
    # The same without the order, which spills nothing.
    expected = one_row(connection, f"SELECT sum(key), sum(hash(payload) % 1000000007) FROM ({source})")
    assert found == (rows, rows, *expected), (found, rows, expected)


def join(connection: duckdb.DuckDBPyConnection, size: int) -> None:
    """Both sides together are so many bytes."""
    rows, source = wide_rows(connection, size, 2)
    found = one_row(
        connection,
        "SELECT count(*), count(*) FILTER (one.payload = other.payload), sum(hash(other.payload) % 1000000007)"
        f" FROM ({source}) AS one JOIN ({source}) AS other USING (key)",
    )
    expected = one_row(connection, f"SELECT sum(hash(payload) % 1000000007) FROM ({source})")
    assert found == (rows, rows, *expected), (found, rows, expected)


def aggregate(connection: duckdb.DuckDBPyConnection, size: int) -> None:
    """Each group has two rows, which are far apart."""
    groups = size // (8 * COLUMNS) // 2
    columns = ", ".join(f"xor(key, hash({number})) AS c{number}" for number in range(COLUMNS))
    source = f"SELECT {columns} FROM (SELECT hash(i % {groups}) AS key FROM range({2 * groups}) AS rows(i))"
    last = f"c{COLUMNS - 1}"
    found = one_row(
        connection,
        f"SELECT count(*), min(n), max(n), sum({last} % 1000000007) FROM (SELECT *, count(*) AS n FROM ({source}) GROUP BY ALL)",
    )
    (twice,) = one_row(connection, f"SELECT sum({last} % 1000000007) FROM ({source})")
    assert found == (groups, 2, 2, twice // 2), (found, groups, twice)


QUERIES = {"sort": sort, "join": join, "aggregate": aggregate}


def wide_rows(connection: duckdb.DuckDBPyConnection, size: int, parts: int) -> tuple[int, str]:
    """How many rows the parts of a size have, and the query that makes one part, with a unique key for each row."""
    connection.execute(
        "CREATE TEMP TABLE payloads AS SELECT i AS id, unhex(string_agg(md5(concat(i, '/', j)), '')) AS payload"
        f" FROM range({PAYLOADS}) AS payloads(i), range({PAYLOAD // 16}) AS parts(j) GROUP BY i"
    )
    rows = size // ROW // parts
    return rows, (
        f"SELECT hash(i) AS key, payload FROM range({rows}) AS rows(i) JOIN payloads ON payloads.id = hash(i) % {PAYLOADS}"
    )


def one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds, and the most MiB that the container's processes and the spilled files took, whenever one looked."""
    took: dict[str, float] = {"memory": 0, "scratch": 0}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            took["memory"] = max(took["memory"], memory())
            took["scratch"] = max(took["scratch"], scratch())

    watcher = threading.Thread(target=look)
    watcher.start()
    begun = time.monotonic()
    try:
        yield took
    finally:
        done.set()
        watcher.join()
        took["seconds"] = round(time.monotonic() - begun, 1)


def memory() -> int:
    """MiB of the container that are no cache of files: cgroup v1 and v2 name them differently."""
    for file, name in (("memory/memory.stat", "rss "), ("memory.stat", "anon ")):
        path = Path("/sys/fs/cgroup") / file
        if path.exists():
            line = next(line for line in path.read_text().splitlines() if line.startswith(name))
            return int(line.split()[1]) >> 20
    return 0


def scratch() -> int:
    """MiB of all spilled files."""
    total = 0
    for path in Path(os.environ["DUCKDB_TEMP_DIRECTORY"]).glob("*/*"):
        try:
            total += path.stat().st_blocks * 512
        except OSError:  # removed meanwhile
            continue
    return total >> 20


@dg.job(executor_def=dg.in_process_executor)
def spilling() -> None:
    spill()
