"""Lake and ledger commit together: the trigger, through the resource that assets use."""

import threading
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from dagster import AssetExecutionContext, asset, materialize
from sqlalchemy import Engine, select, text

from slipway import identity
from slipway.aws import s3_client
from slipway.config.connections import s3_settings as settings_of
from slipway.database.tables import landing_object as obj
from slipway.landing import ClaimLost, LandingResource, ledger
from slipway.landing.isolation import Retry
from slipway.landing.objects import Seen
from slipway.landing.resource import ClaimedBatch, LandedFile
from slipway.resources import LakeResource, LakeUnavailable


def waiting(database: Engine, *keys: str) -> None:
    with database.begin() as connection:
        ledger.observe(connection, "inbox", [Seen("bucket", key, "e", 1) for key in keys])


def claimed(database: Engine, *keys: str) -> ClaimedBatch:
    waiting(database, *keys)
    with database.begin() as connection:
        batch = ledger.claim(connection, "inbox", max_files=100, max_bytes=10**9, run_id="run")
        items = ledger.open_for(connection, batch.id, "run")
    files = tuple(LandedFile(i.bucket, i.key, i.version, i.etag, i.size, Path(i.key), i.id) for i in items)
    return ClaimedBatch(files, batch.id, database)


def load(connection: duckdb.DuckDBPyConnection, file: LandedFile, rows: int = 100) -> None:
    connection.execute("INSERT INTO raw.orders SELECT ?, range FROM range(?)", [file.key, rows])


def states(database: Engine) -> dict[str, str]:
    with database.connect() as connection:
        return dict(connection.execute(select(obj.c.key, obj.c.state)).tuples().all())


def rows(lake: LakeResource) -> int:
    with lake.connect(read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM raw.orders").fetchone()[0]


def test_rows_and_ledger_are_committed_together(lake, database):
    batch = claimed(database, "a", "b")
    with lake.transaction(claim=batch) as connection:
        for file in batch.files:
            load(connection, file)
        assert states(database) == {"a": "claimed", "b": "claimed"}
    assert states(database) == {"a": "done", "b": "done"}
    assert rows(lake) == 200


def test_done_comes_with_the_commit_not_after_it(lake, database, monkeypatch):
    """A worker that is killed just after its commit has done its files."""
    batch = claimed(database, "a")
    monkeypatch.setattr(batch, "finish", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt), lake.transaction(claim=batch) as connection:
        load(connection, batch.files[0])
    assert states(database) == {"a": "done"}


def test_a_body_that_fails_changes_neither(lake, database):
    batch = claimed(database, "a")

    def body() -> None:
        with lake.transaction(claim=batch) as connection:
            load(connection, batch.files[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        body()
    assert states(database) == {"a": "claimed"}
    assert rows(lake) == 0


def test_a_run_whose_claim_was_taken_back_cannot_commit(lake, database):
    batch = claimed(database, "a")

    def body() -> None:
        with lake.transaction(claim=batch) as connection:
            load(connection, batch.files[0])
            with database.begin() as other:
                ledger.settle(other, batch.claim_token, Retry(timedelta(0)), "the worker seemed dead")

    with pytest.raises(duckdb.Error, match=f"slipway: claim {batch.claim_token}"):
        body()
    assert rows(lake) == 0
    assert states(database) == {"a": "claimed"}, "the next batch has it"


def test_one_claim_commits_once(lake, database):
    batch = claimed(database, "a")
    with lake.transaction(claim=batch) as connection:
        load(connection, batch.files[0])
    with pytest.raises(duckdb.Error, match="slipway: claim"), lake.transaction(claim=batch) as connection:
        load(connection, batch.files[0])
    assert rows(lake) == 100


def test_a_commit_that_changes_nothing_finishes_its_batch(lake, database):
    batch = claimed(database, "empty")
    with lake.transaction(claim=batch):
        pass
    assert states(database) == {"empty": "done"}


def test_a_file_quarantined_within_the_transaction_stays_so(lake, database):
    batch = claimed(database, "a", "broken", "c")
    with lake.transaction(claim=batch) as connection:
        for file in batch.files:
            if file.key == "broken":
                batch.quarantine(file, ValueError("bad header"))
            else:
                load(connection, file)
    assert states(database) == {"a": "done", "broken": "quarantined", "c": "done"}
    assert rows(lake) == 200
    with database.connect() as connection:
        assert (
            connection.execute(select(obj.c.error).where(obj.c.key == "broken")).scalar()
            == "ValueError: bad header"
        )


@pytest.mark.parametrize("then", ["commit", "read"])
def test_a_database_that_goes_away_meanwhile_is_no_files_fault(lake, database, then):
    batch = claimed(database, "a")

    def body() -> None:
        with lake.transaction(claim=batch) as connection:
            load(connection, batch.files[0], rows=2000)
            with database.begin() as other:
                other.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
            if then == "read":
                connection.execute("DELETE FROM raw.orders WHERE id = 5")

    with pytest.raises(LakeUnavailable, match="the lake could not be used to the end"):
        body()
    assert states(database) == {"a": "claimed"}
    assert rows(lake) == 0


def test_a_commit_that_another_one_overtook_is_no_files_fault(lake, database):
    with lake.connect() as connection:
        connection.execute("INSERT INTO raw.orders SELECT 'x', range FROM range(2000)")
    batch = claimed(database, "a")

    def body() -> None:
        with lake.transaction(claim=batch) as connection:
            connection.execute("UPDATE raw.orders SET id = -1 WHERE id = 5")
            with lake.connect() as other:
                other.execute("UPDATE raw.orders SET id = -2 WHERE id = 5")

    with pytest.raises(LakeUnavailable, match="onflict"):
        body()
    assert states(database) == {"a": "claimed"}


def test_a_file_is_not_quarantined_for_the_transaction_that_another_aborted(lake, database):
    """DuckDB refuses every statement after one that failed: what it says then is no file's fault."""
    batch = claimed(database, "a", "broken", "c")

    def body() -> None:
        with lake.transaction(claim=batch) as connection:
            for file in batch.files:
                try:
                    value = "no number" if file.key == "broken" else "1"
                    connection.execute(
                        "INSERT INTO raw.orders SELECT ?, CAST(? AS INTEGER)", [file.key, value]
                    )
                except duckdb.Error as error:
                    batch.quarantine(file, error)

    with pytest.raises(RuntimeError, match=r"s3://bucket/c cannot be judged: .* `connection.cursor\(\)`"):
        body()
    assert states(database) == {"a": "claimed", "broken": "quarantined", "c": "claimed"}
    assert rows(lake) == 0


def test_files_that_are_read_beside_the_transaction_fail_alone(lake, database):
    batch = claimed(database, "a", "broken", "c")
    with lake.transaction(claim=batch) as connection:
        reader = connection.cursor()
        for file in batch.files:
            try:
                value = "no number" if file.key == "broken" else "1"
                (row,) = reader.execute("SELECT CAST(? AS INTEGER)", [value]).fetchall()
            except duckdb.Error as error:
                batch.quarantine(file, error)
                continue
            connection.execute("INSERT INTO raw.orders VALUES (?, ?)", [file.key, *row])
    assert states(database) == {"a": "done", "broken": "quarantined", "c": "done"}
    assert rows(lake) == 2


def test_other_commits_are_none_of_the_triggers_business(lake, database):
    for extra in ("NULL", "'no json'", "'[1]'", "'7'", """'{"other": "slipway_claim"}'"""):
        with lake.connect() as connection:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO raw.orders SELECT 'x', range FROM range(100)")
            connection.execute(f"CALL shop.set_commit_message('a', 'm', extra_info => {extra})")
            connection.execute("COMMIT")
    assert rows(lake) == 500


def test_writers_at_once_each_commit_their_own_claim(lake, database):
    """DuckLake's own retry of a commit that lost a race fires the trigger again, in the transaction that counts."""
    batches = [claimed(database, f"{writer}-{number}") for writer in range(4) for number in range(4)]
    errors: list[BaseException] = []

    def write(mine: list[ClaimedBatch]) -> None:
        try:
            for batch in mine:
                with lake.transaction(claim=batch) as connection:
                    load(connection, batch.files[0], rows=2000)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(batches[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors
    assert set(states(database).values()) == {"done"}
    assert rows(lake) == 16 * 2000


def test_the_resource_gives_and_the_lake_takes(lake, database, platform, platform_env):
    """By hand, as from the UI: the run claims what waits, reads it, and commits."""
    s3 = s3_client(settings_of(platform, "default", platform_env))
    bucket = platform.landing["inbox"].bucket
    s3.create_bucket(Bucket=bucket)
    hostile = 'it\'s "x"; DROP TABLE raw.orders; --/../ü .csv'
    for key, body in ((hostile, b"1"), ("gone.csv", b"2"), ("changed.csv", b"3")):
        etag = s3.put_object(Bucket=bucket, Key=key, Body=body)["ETag"].strip('"')
        with database.begin() as connection:
            ledger.observe(connection, "inbox", [Seen(bucket, key, etag, 1)])
    s3.delete_object(Bucket=bucket, Key="gone.csv")
    s3.put_object(Bucket=bucket, Key="changed.csv", Body=b"4")

    found: list[tuple[str, str, Path]] = []

    @asset
    def orders(context: AssetExecutionContext, inbox: LandingResource, lake: LakeResource) -> None:
        batch = inbox.batch(context)
        with lake.transaction(claim=batch) as connection:
            for file in batch.files:
                found.append((file.key, file.path.read_text(), file.path))
                load(connection, file)

    resources = {"inbox": LandingResource(landing="inbox"), "lake": lake}
    assert materialize([orders], resources=resources).success
    ((key, body, path),) = found
    assert (key, body) == (hostile, "1")
    assert path.parent.name.startswith("landing-")
    assert not path.parent.exists(), "the copies go with the step"
    assert states(database) == {hostile: "done", "gone.csv": "superseded", "changed.csv": "superseded"}
    assert materialize([orders], resources=resources).success, "with nothing left, too"
    assert len(found) == 1


def test_a_repeated_run_of_a_done_batch_has_nothing_to_do(lake, database):
    batch = claimed(database, "a")
    batch.finish()
    tags = {"slipway/landing": "inbox", "slipway/batch": batch.claim_token}
    seen: list[int] = []

    @asset
    def orders(context: AssetExecutionContext, inbox: LandingResource) -> None:
        seen.append(len(inbox.batch(context).files))

    assert materialize([orders], resources={"inbox": LandingResource(landing="inbox")}, tags=tags).success
    assert seen == [0]


def test_a_run_of_another_landing_gets_nothing_of_this_one(lake, database):
    waiting(database, "a")
    tags = {"slipway/landing": "other", "slipway/batch": "x"}
    seen: list[int] = []

    @asset
    def orders(context: AssetExecutionContext, inbox: LandingResource) -> None:
        seen.append(len(inbox.batch(context).files))

    assert materialize([orders], resources={"inbox": LandingResource(landing="inbox")}, tags=tags).success
    assert seen == [0]
    assert states(database) == {"a": "new"}


def test_finish_says_when_the_claim_is_lost(lake, database):
    batch = claimed(database, "a")
    with database.begin() as other:
        ledger.settle(other, batch.claim_token, Retry(timedelta(0)), "lost")
    with pytest.raises(ClaimLost):
        batch.finish()


def test_a_lake_on_an_emptied_bucket_is_not_touched(lake, database, platform, platform_env):
    s3 = s3_client(settings_of(platform, "default", platform_env))
    s3.delete_object(Bucket=platform.lake.bucket, Key=identity.object_key(platform))
    with pytest.raises(identity.StorageLost, match="not the storage"), lake.connect():
        pass
