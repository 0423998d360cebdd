"""The DuckDB file of a location: where it is, how it is opened, and what is said when it cannot be."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from slipway.config.errors import UserError
from slipway.resources import DuckDBFileResource, LakeResource, duckdb_file_pool

PLATFORM = {
    "code_locations": {
        "shop": {
            "path": "shop",
            "image": {"repository": "shop", "tag": "1"},
            "duckdb_file": "warehouse.duckdb",
        },
        "other": {"path": "other", "image": {"repository": "other", "tag": "1"}},
    }
}


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("SLIPWAY_PLATFORM", "SLIPWAY_PLATFORM_JSON", "SLIPWAY_LOCATION", "SLIPWAY_DUCKDB_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DUCKDB_TEMP_DIRECTORY", str(tmp_path / "spill"))


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> DuckDBFileResource:
    """The resource as a run of `shop` has it."""
    monkeypatch.setenv("SLIPWAY_PLATFORM_JSON", json.dumps(PLATFORM))
    monkeypatch.setenv("SLIPWAY_LOCATION", "shop")
    monkeypatch.setenv("SLIPWAY_DUCKDB_FILE", str(tmp_path / "warehouse.duckdb"))
    return DuckDBFileResource(wait_seconds=0)


def closed(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        connection.execute("SELECT 1")
    except duckdb.ConnectionException:
        return True
    return False


def setting(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    row = connection.execute("SELECT value FROM duckdb_settings() WHERE name = ?", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_the_file_is_the_current_database_under_its_own_name(file):
    with file.connect() as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("warehouse",)
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    with file.connect(read_only=True) as connection:
        assert connection.execute("FROM warehouse.main.t").fetchall() == [(1,)]
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("INSERT INTO t VALUES (2)")


def test_the_settings_are_those_of_the_profile(file, monkeypatch, tmp_path):
    monkeypatch.setenv("DUCKDB_MEMORY_LIMIT", "300MiB")
    monkeypatch.setenv("DUCKDB_THREADS", "1")
    monkeypatch.setenv("DUCKDB_MAX_TEMP_DIRECTORY_SIZE", "2GiB")
    monkeypatch.setenv("DUCKDB_PRESERVE_INSERTION_ORDER", "false")
    for _ in range(2):
        with file.connect() as connection:
            assert setting(connection, "memory_limit") == "300.0 MiB"
            assert setting(connection, "threads") == "1"
            assert Path(setting(connection, "temp_directory")).parent == tmp_path / "spill"
            assert setting(connection, "max_temp_directory_size") == "2.0 GiB"
            assert setting(connection, "preserve_insertion_order") == "false"
            assert setting(connection, "enable_progress_bar") == "false"
            assert setting(connection, "TimeZone") == "UTC"
            assert setting(connection, "autoinstall_known_extensions") == "false"


def test_a_setting_that_duckdb_refuses_is_named_and_the_file_is_let_go(file, monkeypatch):
    monkeypatch.setenv("DUCKDB_MEMORY_LIMIT", "lots")
    with pytest.raises(UserError, match="DUCKDB_MEMORY_LIMIT=lots: "), file.connect():
        pass
    monkeypatch.delenv("DUCKDB_MEMORY_LIMIT")
    duckdb.connect(file.path).close()


def test_it_spills_into_the_scratch_and_leaves_nothing_there(file, monkeypatch, tmp_path):
    monkeypatch.setenv("DUCKDB_MEMORY_LIMIT", "60MiB")
    monkeypatch.setenv("DUCKDB_THREADS", "1")
    query = "SELECT range AS x, hash(range) AS y FROM range(3000000) ORDER BY y"
    with file.connect() as connection:
        connection.execute(f"CREATE TEMPORARY TABLE t AS {query}")
        assert connection.execute("SELECT count(*) > 0 FROM duckdb_temporary_files()").fetchone() == (True,)
    assert list((tmp_path / "spill").iterdir()) == []


def test_the_connection_is_closed_also_when_the_body_raises(file):
    with pytest.raises(RuntimeError, match="body"), file.connect() as connection:
        raise RuntimeError("body")
    assert closed(connection)
    with pytest.raises(KeyboardInterrupt), file.transaction() as connection:
        raise KeyboardInterrupt
    assert closed(connection)
    # and the file with it: with other settings it could not be opened a second time
    duckdb.connect(file.path, config={"threads": "1"}).close()


def test_a_transaction_is_all_or_nothing(file):
    def work() -> None:
        with file.transaction() as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with file.connect() as connection:
        assert connection.execute("SHOW TABLES").fetchall() == []


@dataclass
class Claim:
    claim_token: str | None = "token"
    finished: list[bool] = field(default_factory=list)

    def finish(self) -> None:
        self.finished.append(True)


def test_a_claim_is_finished_after_the_commit_and_only_then(file):
    claim = Claim()
    with pytest.raises(ZeroDivisionError), file.transaction(claim) as connection:
        raise ZeroDivisionError
    assert claim.finished == []
    with file.transaction(claim) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
        assert claim.finished == []
    assert claim.finished == [True]


def test_connections_of_one_process_may_be_nested_when_they_are_alike(file):
    with file.connect() as outer:
        outer.execute("CREATE TABLE t AS SELECT 1 AS x")
        with file.connect() as inner:
            assert inner.execute("FROM t").fetchall() == [(1,)]
        with pytest.raises(UserError, match="this process has it open already, and not with the same"):
            file.connect(read_only=True).__enter__()
        outer.execute("INSERT INTO t VALUES (2)")


def test_what_is_no_database_is_named(file):
    file.path.write_text("hello " * 1000)
    with pytest.raises(UserError, match=r"warehouse\.duckdb cannot be opened: .*not a valid DuckDB database"):
        file.connect().__enter__()


def test_reading_before_anybody_has_written_says_so(file):
    with pytest.raises(UserError, match=r"there is no .*warehouse\.duckdb yet"):
        file.connect(read_only=True).__enter__()
    assert not file.path.exists()


def test_a_location_that_declares_none_is_told_which_key_to_write(monkeypatch):
    monkeypatch.setenv("SLIPWAY_PLATFORM_JSON", json.dumps(PLATFORM))
    monkeypatch.setenv("SLIPWAY_LOCATION", "other")
    with pytest.raises(UserError, match=r"'other' declares no DuckDB file") as caught:
        DuckDBFileResource().connect().__enter__()
    assert "code_locations.other.duckdb_file: warehouse.duckdb" in str(caught.value)


def test_what_is_no_run_is_told_that_runs_alone_have_it(monkeypatch):
    monkeypatch.setenv("SLIPWAY_PLATFORM_JSON", json.dumps(PLATFORM))
    monkeypatch.setenv("SLIPWAY_LOCATION", "shop")
    with pytest.raises(UserError, match="only runs of code location 'shop' have its DuckDB file"):
        DuckDBFileResource().connect().__enter__()
    monkeypatch.delenv("SLIPWAY_LOCATION")
    with pytest.raises(UserError, match="belongs to no code location"):
        DuckDBFileResource().connect().__enter__()


def test_without_a_platform_it_is_a_local_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with DuckDBFileResource().connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    assert (tmp_path / ".duckdb" / "warehouse.duckdb").is_file()
    with pytest.raises(UserError, match="the lakes of other are on a platform"):
        DuckDBFileResource(reads=["other"]).connect().__enter__()
    with DuckDBFileResource(local_file="files/shop.db").connect() as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("shop",)


def test_the_pool_has_the_name_of_the_location(monkeypatch):
    assert duckdb_file_pool("veteran") == "duckdb_veteran"
    assert duckdb_file_pool() == "duckdb_local"
    monkeypatch.setenv("SLIPWAY_LOCATION", "shop")
    assert duckdb_file_pool() == "duckdb_shop"

    @dg.asset(pool=duckdb_file_pool())
    def stored() -> None: ...

    assert stored.op.pool == "duckdb_shop"


def warnings(*assets: dg.AssetsDefinition | dg.AssetChecksDefinition, file: DuckDBFileResource) -> list[str]:
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(assets, instance=instance, resources={"file": file})
        return [
            entry.user_message
            for entry in instance.all_logs(result.run_id)
            if entry.level == 30 and "pool" in entry.user_message
        ]


def test_a_step_that_takes_no_turns_is_warned_once(file):
    def use(file: DuckDBFileResource) -> None:
        for _ in range(3):
            with file.connect() as connection:
                connection.execute("CREATE OR REPLACE TABLE t AS SELECT 1 AS x")

    @dg.asset
    def forgetful(file: DuckDBFileResource) -> None:
        use(file)

    @dg.asset(pool="another")
    def mistaken(file: DuckDBFileResource) -> None:
        use(file)

    @dg.asset(pool=duckdb_file_pool())
    def right(file: DuckDBFileResource) -> None:
        use(file)

    @dg.asset_check(asset=right)
    def looked_at(file: DuckDBFileResource) -> dg.AssetCheckResult:
        use(file)
        return dg.AssetCheckResult(passed=True)

    said = warnings(forgetful, mistaken, right, looked_at, file=file)
    assert sorted(text.split()[0] for text in said) == ["forgetful", "mistaken", "right_looked_at"]
    assert all('pool="duckdb_shop"' in text for text in said)


def test_a_lake_is_not_to_be_had_beside_it(file, monkeypatch):
    with pytest.raises(UserError, match="'shop' has no lake: code_locations") as caught:
        LakeResource().connect().__enter__()
    assert "DuckDBFileResource" in str(caught.value)
    monkeypatch.setenv("SLIPWAY_LOCATION", "other")
    with pytest.raises(UserError, match="'shop' has no lake"):
        DuckDBFileResource(reads=["shop"]).connect().__enter__()
