import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from slipway.config.errors import UserError
from slipway.resources import duckdb as ours
from slipway.resources.duckdb import EXTENSIONS, extension_path, identifier, literal, open_connection

SPILL = """
from slipway.resources.duckdb import open_connection
with open_connection() as connection:
    connection.execute("CREATE TABLE t AS SELECT range AS x, hash(range) AS y FROM range(3000000) ORDER BY y")
    (spilt,) = connection.execute("SELECT count(*) FROM duckdb_temporary_files()").fetchone()
    (total,) = connection.execute("SELECT sum(x) FROM t").fetchone()
    print(spilt > 0, total)
"""


def setting(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    row = connection.execute("SELECT value FROM duckdb_settings() WHERE name = ?", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_extensions_are_loaded_and_nothing_else_ever_will_be(tmp_path):
    with open_connection({"DUCKDB_TEMP_DIRECTORY": str(tmp_path)}) as connection:
        loaded = connection.execute(
            "SELECT extension_name FROM duckdb_extensions() WHERE loaded AND extension_name = ANY($1)",
            [list(EXTENSIONS)],
        ).fetchall()
        assert {name for (name,) in loaded} == set(EXTENSIONS)
        for name in (
            "allow_unsigned_extensions",
            "autoinstall_known_extensions",
            "autoload_known_extensions",
        ):
            assert setting(connection, name) == "false"
        assert setting(connection, "TimeZone") == "UTC"


def test_settings_come_from_the_environment(tmp_path):
    env = {
        "DUCKDB_MEMORY_LIMIT": "300MiB",
        "DUCKDB_THREADS": "1",
        "DUCKDB_TEMP_DIRECTORY": str(tmp_path / "a" / "b"),
        "DUCKDB_MAX_TEMP_DIRECTORY_SIZE": "2GiB",
        "DUCKDB_PRESERVE_INSERTION_ORDER": "false",
    }
    with open_connection(env) as connection:
        assert setting(connection, "memory_limit") == "300.0 MiB"
        assert setting(connection, "threads") == "1"
        assert Path(setting(connection, "temp_directory")).parent == tmp_path / "a" / "b"
        assert setting(connection, "max_temp_directory_size") == "2.0 GiB"
        assert setting(connection, "preserve_insertion_order") == "false"
        assert setting(connection, "enable_progress_bar") == "false"


def test_a_setting_that_duckdb_refuses_is_named():
    with pytest.raises(UserError, match=r"DUCKDB_MEMORY_LIMIT=lots: .*Memory"):
        open_connection({"DUCKDB_MEMORY_LIMIT": "lots"})


def test_processes_that_spill_beside_each_other_do_not_meet(tmp_path):
    env = {
        "PATH": "",
        "DUCKDB_TEMP_DIRECTORY": str(tmp_path),
        "DUCKDB_MEMORY_LIMIT": "60MiB",
        "DUCKDB_THREADS": "1",
    }
    both = [
        subprocess.Popen([sys.executable, "-c", SPILL], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs == [f"True {sum(range(3000000))}"] * 2
    assert list(tmp_path.iterdir()) == []


def test_an_extension_of_another_version_is_not_loaded(monkeypatch):
    monkeypatch.setattr(ours.duckdb, "__version__", "0.0.1")
    with pytest.raises(UserError, match=r"duckdb-extension-ducklake holds v.*installed DuckDB is v0\.0\.1"):
        extension_path("ducklake")


def test_a_missing_extension_is_named():
    with pytest.raises(UserError, match="install duckdb-extension-nosuch=="):
        extension_path("nosuch")


@pytest.mark.parametrize("text", ["plain", "it's", "a'b''c", "\\", "\n", "; DROP TABLE x --"])
def test_quoting_survives_duckdb(text):
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {literal(text)}").fetchone() == (text,)
        name = text + '"'
        assert connection.execute(f"SELECT 1 AS {identifier(name)}").description[0][0] == name
