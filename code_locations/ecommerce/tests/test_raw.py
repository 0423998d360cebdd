import subprocess
import sys
from pathlib import Path

import duckdb

from ecommerce.defs.raw import replace
from ecommerce.entities import ENTITIES


def test_a_file_that_lands_again_replaces_its_rows_alone() -> None:
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS lake; USE lake; CREATE SCHEMA raw")
    connection.execute("CREATE TABLE memory.main.customers (id VARCHAR, name VARCHAR, k VARCHAR, v VARCHAR)")
    connection.execute("INSERT INTO memory.main.customers VALUES ('1', 'A', 'a', '1'), ('2', 'B', 'b', '1')")
    replace(connection, ENTITIES["customers"], ["a", "b"])
    connection.execute("DELETE FROM memory.main.customers")
    connection.execute("INSERT INTO memory.main.customers VALUES ('3', 'C', 'a', '2')")
    replace(connection, ENTITIES["customers"], ["a"])
    assert connection.execute("SELECT id, _key, _version FROM raw.customers ORDER BY id").fetchall() == [
        ("2", "b", "1"),
        ("3", "a", "2"),
    ]


def test_a_file_that_lands_again_empty_leaves_nothing() -> None:
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS lake; USE lake; CREATE SCHEMA raw")
    connection.execute("CREATE TABLE memory.main.customers (id VARCHAR, name VARCHAR, k VARCHAR, v VARCHAR)")
    connection.execute("INSERT INTO memory.main.customers VALUES ('1', 'A', 'a', '1')")
    replace(connection, ENTITIES["customers"], ["a"])
    connection.execute("DELETE FROM memory.main.customers")
    replace(connection, ENTITIES["customers"], ["a"])
    assert connection.execute("SELECT count(*) FROM raw.customers").fetchone() == (0,)


def test_a_landings_run_does_without_pandas(tmp_path: Path) -> None:
    """Which is installed for the reports alone, and takes a second to import."""
    script = """
import sys
from dagster import materialize
from ecommerce.defs.raw import raw
from ecommerce.defs.io_managers import io_manager
from ecommerce.defs.resources import resources
given = {**resources().resources, "io_manager": io_manager({})}
assert materialize([raw], resources=given).success
sys.exit("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
