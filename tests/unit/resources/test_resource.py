import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

from slipway.resources import LakeResource


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakeResource:
    for variable in ("SLIPWAY_PLATFORM", "SLIPWAY_PLATFORM_JSON", "SLIPWAY_LOCATION"):
        monkeypatch.delenv(variable, raising=False)
    return LakeResource(local_folder=str(tmp_path / "lake"), local_name="shop")


@dataclass
class Claim:
    claim_token: str | None
    finished: list[bool] = field(default_factory=list)

    def finish(self) -> None:
        self.finished.append(True)


def closed(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        connection.execute("SELECT 1")
    except duckdb.ConnectionException:
        return True
    return False


def tables(lake: LakeResource) -> list[tuple[str]]:
    with lake.connect() as connection:
        return connection.execute("SHOW TABLES").fetchall()


def test_the_lake_is_the_current_database_and_keeps_what_is_written(lake):
    with lake.connect() as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("shop",)
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    with lake.connect(read_only=True) as connection:
        assert connection.execute("FROM shop.main.t").fetchall() == [(1,)]
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("INSERT INTO t VALUES (2)")


def test_the_connection_is_closed_also_when_the_body_raises(lake):
    with pytest.raises(RuntimeError, match="body"), lake.connect() as connection:
        raise RuntimeError("body")
    assert closed(connection)
    with pytest.raises(KeyboardInterrupt), lake.transaction() as connection:
        raise KeyboardInterrupt
    assert closed(connection)


def test_a_transaction_is_all_or_nothing(lake):
    claim = Claim("token")

    def work() -> None:
        with lake.transaction(claim) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert tables(lake) == []
    assert claim.finished == []


def test_a_statement_that_fails_is_the_error_that_is_raised(lake):
    def work() -> None:
        with lake.transaction() as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS x")
            connection.execute("SELECT CAST('abc' AS INTEGER)")

    with pytest.raises(duckdb.ConversionException, match="abc"):
        work()
    assert tables(lake) == []


def test_a_failed_statement_that_the_body_goes_on_from_is_no_success(lake):
    # DuckDB's COMMIT of a transaction that an error has aborted is a ROLLBACK without a word.
    claim = Claim(None)

    def work() -> None:
        with lake.transaction(claim) as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS x")
            with contextlib.suppress(duckdb.ConversionException):
                connection.execute("SELECT CAST('abc' AS INTEGER)")

    with pytest.raises(duckdb.TransactionException, match="nothing of it can be committed"):
        work()
    assert tables(lake) == []
    assert claim.finished == []


def test_the_commit_carries_the_claim(lake):
    claim = Claim("it's a token")
    with lake.transaction(claim) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
        assert claim.finished == []
    assert claim.finished == [True]
    with lake.connect() as connection:
        info = connection.execute(
            "SELECT commit_extra_info FROM shop.snapshots() ORDER BY snapshot_id DESC LIMIT 1"
        ).fetchone()
    assert info == ("""{"slipway_claim": "it's a token"}""",)


def test_without_a_token_the_commit_is_plain_and_still_finished(lake):
    claim = Claim(None)
    with lake.transaction(claim) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    assert claim.finished == [True]
    with lake.connect() as connection:
        assert connection.execute("SELECT max(commit_extra_info) FROM shop.snapshots()").fetchone() == (None,)


def test_other_lakes_can_be_read(lake, monkeypatch):
    with lake.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS x")
    monkeypatch.setenv("SLIPWAY_LOCATION", "reader")
    reader = LakeResource(local_folder=lake.local_folder, reads=["shop"])
    with reader.connect() as connection:
        assert connection.execute("SELECT current_database(), x FROM shop.main.t").fetchone() == ("reader", 7)
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("INSERT INTO shop.main.t VALUES (2)")
