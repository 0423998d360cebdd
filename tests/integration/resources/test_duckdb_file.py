"""The DuckDB file between real processes, and the SQL of the reference documents on it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from slipway import identity
from slipway.aws import s3_client
from slipway.config.connections import s3_settings as settings_of
from slipway.config.errors import UserError
from slipway.database import upgrade
from slipway.database.engine import engine
from slipway.ops.bootstrap_lake import ensure_lake
from slipway.resources import DuckDBFileResource, LakeResource

HOLD = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read-only")
if sys.argv[2] == "writing":
    connection.execute("CREATE TABLE IF NOT EXISTS t (x INTEGER PRIMARY KEY)")
    connection.execute("INSERT OR REPLACE INTO t VALUES (1)")
    connection.execute("BEGIN TRANSACTION")
    connection.execute("INSERT INTO t SELECT range + 2 FROM range(300000)")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the code location `project`, whose run this process is."""
    path = tmp_path / "project.duckdb"
    monkeypatch.setenv("SLIPWAY_DUCKDB_FILE", str(path))
    monkeypatch.setenv("SLIPWAY_LOCATION", "project")
    monkeypatch.setenv("DUCKDB_TEMP_DIRECTORY", str(tmp_path / "spill"))
    return path


@contextmanager
def holder(path: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_opening_waits_for_another_process_and_then_goes_on(path, caplog):
    caplog.set_level("INFO", "slipway.resources")
    with holder(path, "writing") as other:

        def let_go() -> None:
            while "Waiting for" not in caplog.text:
                time.sleep(0.01)
            other.stdin.close()

        release = threading.Thread(target=let_go, daemon=True)
        release.start()
        with DuckDBFileResource().connect() as connection:
            assert other.wait(10) == 0
            assert connection.execute("FROM t").fetchall() == [(1,)]
        release.join(10)
        assert f"Waiting for {path}: process {other.pid}" in caplog.text


@pytest.mark.parametrize(
    ("theirs", "read_only"), [("writing", False), ("writing", True), ("read-only", False)]
)
def test_a_wait_in_vain_names_file_holder_and_pool(path, theirs, read_only):
    duckdb.connect(path).close()
    with holder(path, theirs) as other:
        started = time.monotonic()
        with pytest.raises(UserError) as caught:
            DuckDBFileResource(wait_seconds=0.5).connect(read_only=read_only).__enter__()
        assert 0.5 <= time.monotonic() - started < 5
    message = str(caught.value)
    assert re.match(
        rf"{re.escape(str(path))} is in use: after \d+ s of waiting, process {other.pid} \(", message
    )
    assert 'pool="duckdb_project"' in message


def test_readers_do_not_exclude_each_other(path):
    duckdb.connect(path).close()
    with holder(path, "read-only"), DuckDBFileResource(wait_seconds=0).connect(read_only=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("read_only", [False, True])
def test_the_file_of_a_killed_run_opens_again_with_what_was_committed(path, read_only):
    with holder(path, "writing") as other:
        other.send_signal(signal.SIGKILL)
        other.wait(10)
    assert path.with_name("project.duckdb.wal").exists()
    with DuckDBFileResource(wait_seconds=0).connect(read_only=read_only) as connection:
        assert connection.execute("FROM t").fetchall() == [(1,)]


def test_a_lake_of_another_location_is_read_beside_the_file(
    platform, platform_env, postgres_url, path, monkeypatch
):
    document = json.loads(platform.model_dump_json(by_alias=True, exclude_unset=True))
    document["code_locations"]["project"] = {
        **document["code_locations"]["shop"],
        "duckdb_file": "project.duckdb",
    }
    env = {**platform_env, "SLIPWAY_PLATFORM_JSON": json.dumps(document), "SLIPWAY_LOCATION": "shop"}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    s3 = s3_client(settings_of(platform, "default", env))
    s3.create_bucket(Bucket=platform.lake.bucket)
    with engine(postgres_url).begin() as connection:
        upgrade(connection)
        identity.create(connection, s3, platform)
    ensure_lake(platform, "shop", env, postgres_url)
    with LakeResource().connect() as lake:
        lake.execute("CREATE TABLE orders AS SELECT 7 AS id")

    monkeypatch.setenv("SLIPWAY_LOCATION", "project")
    with DuckDBFileResource(reads=["shop"]).transaction() as file:
        file.execute("CREATE TABLE copied (id INTEGER PRIMARY KEY)")
        file.execute("INSERT INTO copied FROM shop.main.orders")
    with DuckDBFileResource(reads=["shop"]).connect() as file, pytest.raises(duckdb.Error, match="read-only"):
        file.execute("INSERT INTO shop.main.orders VALUES (8)")
    with DuckDBFileResource().connect() as file:
        assert file.execute("FROM project.main.copied").fetchall() == [(7,)]
    with pytest.raises(UserError, match="'project' has no lake"):
        LakeResource().connect().__enter__()
    engine(postgres_url).dispose()


# The SQL of the reference documents, in the order in which they show it. The schemas come first: the documents
# leave out that CREATE TABLE makes none. Names of columns are those of the tables that the documents make.

SCHEMAS = [f"CREATE SCHEMA IF NOT EXISTS project.{name}" for name in ("raw", "transform", "cache")]
RAW = """
    CREATE TABLE IF NOT EXISTS project.raw.data (
        id VARCHAR PRIMARY KEY,
        field1 VARCHAR,
        field2 INTEGER,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
    )
"""
REPLACE = "INSERT OR REPLACE INTO project.raw.data (id, field1, field2) VALUES (?, ?, ?)"
AGGREGATED = """
    CREATE OR REPLACE TABLE project.transform.aggregated AS
    SELECT
        field1,
        COUNT(*) as count,
        AVG(field2) as avg_field2,
        SUM(field2) as sum_field2,
        MIN(created_at) as first_seen,
        MAX(created_at) as last_seen
    FROM project.raw.data
    WHERE field2 > 0
    GROUP BY field1
    ORDER BY count DESC
"""


@pytest.fixture
def tables(path: Path) -> DuckDBFileResource:
    """The file with the documents' first table, filled as they do."""
    file = DuckDBFileResource()
    with file.connect() as connection:
        for statement in (*SCHEMAS, RAW, RAW):
            connection.execute(statement)
        connection.executemany(REPLACE, [("id1", "value1", 100), ("id2", "value2", 200)])
    return file


def test_a_primary_key_is_kept_and_replaced(tables):
    with tables.connect() as connection:
        connection.executemany(REPLACE, [("id2", "changed", 300), ("id3", "value2", 50)])
        assert connection.execute(
            "SELECT id, field1, field2 FROM project.raw.data ORDER BY id"
        ).fetchall() == [
            ("id1", "value1", 100),
            ("id2", "changed", 300),
            ("id3", "value2", 50),
        ]
        assert connection.execute("SELECT COUNT(*) FROM project.raw.data").fetchone() == (3,)
        with pytest.raises(duckdb.ConstraintException, match="id1"):
            connection.execute("INSERT INTO project.raw.data (id) VALUES ('id1')")
        connection.execute(
            "INSERT INTO project.raw.data (id, field2) VALUES ('id1', 1) "
            "ON CONFLICT (id) DO UPDATE SET field2 = excluded.field2 + project.raw.data.field2"
        )
        connection.execute("INSERT OR IGNORE INTO project.raw.data (id, field2) VALUES ('id1', 9)")
        assert connection.execute("SELECT field2 FROM project.raw.data WHERE id = 'id1'").fetchone() == (101,)


def test_a_query_becomes_a_table_and_a_data_frame(tables):
    with tables.connect() as connection:
        connection.execute(AGGREGATED)
        connection.execute(AGGREGATED)
        assert connection.execute("SELECT COUNT(*) FROM project.transform.aggregated").fetchone() == (2,)
    with tables.connect(read_only=True) as connection:
        frame = connection.execute("SELECT field1, count, avg_field2 FROM project.transform.aggregated").df()
    frame["field1_clean"] = frame["field1"].str.strip().str.lower()
    assert sorted(frame.to_dict("records"), key=lambda row: row["field1"])[0] == {
        "field1": "value1",
        "count": 1,
        "avg_field2": 100.0,
        "field1_clean": "value1",
    }


def test_fetched_json_is_kept_by_its_key(tables):
    with tables.connect() as connection:
        connection.execute("""
            CREATE TABLE IF NOT EXISTS project.raw.external_data (
                id VARCHAR PRIMARY KEY,
                data JSON,
                fetched_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
            )
        """)
        for attempt in (1, 2):
            for entity in ("entity1", "entity2", "entity3"):
                connection.execute(
                    "INSERT OR REPLACE INTO project.raw.external_data (id, data) VALUES (?, ?)",
                    [entity, json.dumps({"attempt": attempt, "it's": "quoted"})],
                )
        found = connection.execute("SELECT id, data->>'attempt' FROM project.raw.external_data ORDER BY id")
        assert found.fetchall() == [("entity1", "2"), ("entity2", "2"), ("entity3", "2")]


def test_pages_are_inserted_in_batches(tables):
    with tables.connect() as connection:
        connection.execute("""
            CREATE TABLE IF NOT EXISTS project.raw.paginated_data (
                id VARCHAR PRIMARY KEY,
                field1 VARCHAR,
                field2 INTEGER
            )
        """)
        for page in (1, 2, 2):
            records = [(f"{page}-{row}", "x", row) for row in range(100)]
            connection.executemany(
                "INSERT OR REPLACE INTO project.raw.paginated_data VALUES (?, ?, ?)", records
            )
        assert connection.execute("SELECT COUNT(*) FROM project.raw.paginated_data").fetchone() == (200,)


def test_what_was_synced_is_remembered_between_connections(tables):
    with tables.connect() as connection:
        connection.execute("""
            CREATE TABLE IF NOT EXISTS project.cache.sync_status (
                entity_id VARCHAR PRIMARY KEY,
                last_synced_at TIMESTAMP,
                records_count INTEGER
            )
        """)
    seen = []
    for count in (10, 20):
        with tables.connect() as connection:
            status = connection.execute(
                "SELECT last_synced_at FROM project.cache.sync_status WHERE entity_id = ?", ["entity1"]
            ).fetchone()
            seen.append(status is not None)
            connection.execute(
                """
                INSERT OR REPLACE INTO project.cache.sync_status (entity_id, last_synced_at, records_count)
                VALUES (?, CURRENT_TIMESTAMP, ?)
                """,
                ["entity1", count],
            )
    assert seen == [False, True]
    with tables.connect(read_only=True) as connection:
        assert connection.execute("SELECT records_count FROM project.cache.sync_status").fetchall() == [(20,)]


def test_errors_are_kept_beside_the_data(tables):
    with tables.connect() as connection:
        connection.execute("""
            CREATE TABLE IF NOT EXISTS project.cache.fetch_errors (
                entity_id VARCHAR,
                error_message VARCHAR,
                attempted_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
            )
        """)
        connection.execute(
            "INSERT INTO project.cache.fetch_errors (entity_id, error_message) VALUES (?, ?)",
            ["entity2", "it's gone"],
        )
        found = connection.execute(
            "SELECT entity_id, error_message, attempted_at IS NOT NULL FROM project.cache.fetch_errors"
        )
        assert found.fetchall() == [("entity2", "it's gone", True)]


def test_an_index_is_made_kept_and_used(tables):
    # The documents index and filter columns (entity_id, status, last_updated) that their table has not.
    with tables.connect() as connection:
        for name, kind in (("entity_id", "VARCHAR"), ("status", "VARCHAR"), ("last_updated", "TIMESTAMP")):
            connection.execute(f"ALTER TABLE project.raw.data ADD COLUMN {name} {kind}")
        connection.execute(
            "INSERT INTO project.raw.data (id, entity_id) SELECT 'e' || range, range FROM range(20000)"
        )
        connection.execute("UPDATE project.raw.data SET entity_id = 'x', status = 'active' WHERE id = 'id1'")
        connection.execute("UPDATE project.raw.data SET last_updated = CURRENT_TIMESTAMP WHERE id = 'id1'")
        connection.execute("CREATE INDEX IF NOT EXISTS idx_entity ON project.raw.data(entity_id)")
        connection.execute("""
            CREATE OR REPLACE VIEW project.transform.active_entities AS
            SELECT * FROM project.raw.data
            WHERE status = 'active' AND last_updated > CURRENT_DATE - INTERVAL 30 DAY
        """)
    with tables.connect(read_only=True) as connection:
        assert connection.execute("SELECT index_name FROM duckdb_indexes()").fetchall() == [("idx_entity",)]
        assert connection.execute("SELECT id FROM project.transform.active_entities").fetchall() == [("id1",)]
        query = "SELECT * FROM project.raw.data WHERE entity_id = 'x'"
        (plan,) = connection.execute(f"EXPLAIN {query}").fetchall()
        assert "entity_id='x'" in plan[1]
        # Only the run decides between index and scan, so only this shows it.
        (analyzed,) = connection.execute(f"EXPLAIN ANALYZE {query}").fetchall()
        assert "Index Scan" in analyzed[1]


def test_sequences_generated_columns_and_foreign_keys_work_too(tables):
    with tables.connect() as connection:
        connection.execute("CREATE SEQUENCE project.raw.ids")
        connection.execute("""
            CREATE TABLE project.raw.notes (
                id INTEGER PRIMARY KEY DEFAULT nextval('project.raw.ids'),
                of VARCHAR NOT NULL REFERENCES raw.data (id),
                size INTEGER CHECK (size > 0),
                double INTEGER GENERATED ALWAYS AS (size * 2)
            )
        """)
        connection.execute("INSERT INTO project.raw.notes (of, size) VALUES ('id1', 1), ('id2', 2)")
        assert connection.execute("SELECT id, double FROM project.raw.notes").fetchall() == [(1, 2), (2, 4)]
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("INSERT INTO project.raw.notes (of, size) VALUES ('nobody', 1)")


def test_tables_are_copied_out_and_in(tables, tmp_path):
    with tables.connect() as connection:
        connection.execute(f"COPY project.raw.data TO '{tmp_path}/data.parquet' (FORMAT parquet)")
        connection.execute(f"COPY (FROM project.raw.data) TO '{tmp_path}/data.csv' (HEADER)")
        connection.execute("CREATE TABLE project.raw.again AS FROM project.raw.data LIMIT 0")
        connection.execute(f"COPY project.raw.again FROM '{tmp_path}/data.parquet'")
        assert connection.execute("SELECT COUNT(*) FROM project.raw.again").fetchone() == (2,)
    with tables.connect() as connection:
        connection.execute(f"ATTACH '{tmp_path}/backup.duckdb' AS backup")
        connection.execute("COPY FROM DATABASE project TO backup")
    with duckdb.connect(tmp_path / "backup.duckdb") as backup:
        assert backup.execute("SELECT count(*) FROM raw.data").fetchone() == (2,)
        with pytest.raises(duckdb.ConstraintException):
            backup.execute("INSERT INTO raw.data (id) VALUES ('id1')")
