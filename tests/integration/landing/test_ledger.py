"""The ledger's promises, on a real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import IntegrityError

from slipway.database import upgrade
from slipway.database.tables import landing_object as obj
from slipway.landing import inspect, ledger
from slipway.landing.isolation import Attempt, Quarantine, Retry, Split
from slipway.landing.objects import Seen

ALL = {"max_files": 1000, "max_bytes": 10**12}
NOW = timedelta(0)


def seen(key: str, etag: str = "e1", size: int = 1, version_id: str | None = None) -> Seen:
    return Seen("bucket", key, etag, size, version_id)


def observe(database: Engine, *items: Seen) -> int:
    with database.begin() as connection:
        return ledger.observe(connection, "inbox", items)


def claim(database: Engine, **limits: int) -> ledger.OpenBatch | None:
    with database.begin() as connection:
        return ledger.claim(connection, "inbox", **{**ALL, **limits})


def files(database: Engine, batch: ledger.OpenBatch | None) -> list[str]:
    assert batch is not None
    with database.begin() as connection:
        found = ledger.open_for(connection, batch.id, "run")
        assert found is not None
        return [f"{item.key}@{item.etag}" for item in found]


def states(database: Engine) -> dict[str, str]:
    with database.connect() as connection:
        return {f"{row.key}@{row.etag}": row.state for row in connection.execute(select(obj))}


def finish(database: Engine, batch: ledger.OpenBatch | None) -> None:
    assert batch is not None
    with database.begin() as connection:
        ledger.finish(connection, batch.id)


def test_upgrades_at_once_make_one_schema(postgres_url: str):
    from slipway.database.engine import engine

    database = engine(postgres_url)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with database.begin() as connection:
                upgrade(connection)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert observe(database, seen("a")) == 1
    database.dispose()


def test_an_object_told_of_many_times_is_taken_in_once(database):
    assert observe(database, seen("a"), seen("b")) == 2
    assert observe(database, seen("b"), seen("a"), seen("c")) == 1
    batch = claim(database)
    assert files(database, batch) == ["a@e1", "b@e1", "c@e1"]
    assert observe(database, seen("a")) == 0
    finish(database, batch)
    assert observe(database, seen("a")) == 0
    assert claim(database) is None


def test_keys_are_data_and_nothing_else(database):
    keys = [
        "it's",
        '"; DROP TABLE slipway_ledger.landing_object; --',
        "../../x",
        " a b ",
        "new\nline",
        "%s %(x)s :y",
        "é" * 500,
    ]
    assert observe(database, *[seen(key) for key in keys]) == len(keys)
    assert observe(database, *[seen(key) for key in keys]) == 0
    assert {name.removesuffix("@e1") for name in files(database, claim(database))} == set(keys)


def test_a_newer_version_supersedes_one_that_waits(database):
    observe(database, seen("a", "e1"))
    observe(database, seen("a", "e2"))
    assert states(database) == {"a@e1": "superseded", "a@e2": "new"}
    assert files(database, claim(database)) == ["a@e2"]


def test_two_versions_of_a_key_are_never_in_flight(database):
    observe(database, seen("a", "e1"))
    first = claim(database)
    observe(database, seen("a", "e2"), seen("b"))
    second = claim(database)
    assert files(database, second) == ["b@e1"]
    assert claim(database) is None
    finish(database, first)
    assert files(database, claim(database)) == ["a@e2"]


def test_the_database_itself_refuses_two_versions_in_flight(database):
    observe(database, seen("a", "e1"))
    claim(database)
    observe(database, seen("a", "e2"))
    with pytest.raises(IntegrityError), database.begin() as connection:
        connection.execute(text("UPDATE slipway_ledger.landing_object SET state = 'claimed'"))


def test_a_key_that_goes_back_to_former_content_is_loaded_again(database):
    for etag in ("e1", "e2"):
        observe(database, seen("a", etag))
        finish(database, claim(database))
    assert observe(database, seen("a", "e1")) == 1
    assert files(database, claim(database)) == ["a@e1"]


def test_going_back_while_the_former_content_is_in_flight_leaves_it_the_last(database):
    observe(database, seen("a", "e1"))
    first = claim(database)
    observe(database, seen("a", "e2"))
    observe(database, seen("a", "e1"))
    assert states(database) == {"a@e1": "claimed", "a@e2": "superseded"}
    finish(database, first)
    assert claim(database) is None


def test_versions_of_a_bucket_with_versions_are_told_apart_by_their_ids(database):
    observe(database, seen("a", "same", version_id="v1"))
    finish(database, claim(database))
    assert observe(database, seen("a", "same", version_id="v2")) == 1


def test_a_batch_ends_at_its_limits(database):
    observe(database, *[seen(f"k{n}", size=100) for n in range(5)])
    assert len(files(database, claim(database, max_files=2))) == 2
    assert len(files(database, claim(database, max_bytes=250))) == 2
    assert len(files(database, claim(database, max_bytes=1))) == 1, "a file above the limit goes alone"


def test_claims_at_once_share_nothing_and_leave_nothing(database):
    observe(database, *[seen(f"k{n:04}") for n in range(400)])
    taken: list[list[str]] = []
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        while (batch := claim(database, max_files=7)) is not None:
            taken.append(files(database, batch))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    while (batch := claim(database, max_files=7)) is not None:
        taken.append(files(database, batch))
    names = [name for batch in taken for name in batch]
    assert len(names) == len(set(names)) == 400


def test_taking_in_and_claiming_at_once_keeps_one_version_in_flight(database):
    """Every key is overwritten again and again while claims go on; each key ends at its last version, once."""
    observe(database, *[seen(f"k{n}", "e0") for n in range(20)])
    done: list[str] = []
    stop = threading.Event()
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for version in range(1, 30):
                observe(database, *[seen(f"k{n}", f"e{version}") for n in range(20)])
        except BaseException as error:
            errors.append(error)
        finally:
            stop.set()

    def read() -> None:
        try:
            while True:
                last = stop.is_set()
                batch = claim(database, max_files=3)
                if batch is None:
                    if last:
                        return
                    continue
                done.extend(files(database, batch))
                finish(database, batch)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write), *[threading.Thread(target=read) for _ in range(3)]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors
    assert len(done) == len(set(done))
    for n in range(20):
        versions = [int(name.split("@e")[1]) for name in done if name.startswith(f"k{n}@")]
        assert versions[-1] == 29
        assert versions == sorted(versions), "an older version after a newer"


def test_a_claim_that_was_taken_back_cannot_finish(database):
    observe(database, seen("a"), seen("b"))
    batch = claim(database)
    with database.begin() as connection:
        ledger.settle(connection, batch.id, Retry(NOW), "lost")
    with pytest.raises(ledger.ClaimLost):
        finish(database, batch)
    with pytest.raises(ledger.ClaimLost), database.begin() as connection:
        ledger.open_for(connection, batch.id, "run")
    with pytest.raises(ledger.ClaimLost), database.begin() as connection:
        ledger.set_aside(connection, batch.id, 1, "quarantined", "too late")
    with database.begin() as connection:
        (again,) = ledger.open_batches(connection, "inbox")
    assert again.id != batch.id
    assert again.attempt == 2
    assert files(database, again) == ["a@e1", "b@e1"]


def test_finishing_twice_is_finishing_once(database):
    observe(database, seen("a"))
    batch = claim(database)
    finish(database, batch)
    finish(database, batch)
    with database.begin() as connection:
        assert ledger.open_for(connection, batch.id, "run") is None
    with pytest.raises(ledger.ClaimLost), database.begin() as connection:
        ledger.finish(connection, "unknown")


def test_a_quarantined_file_stays_so_when_the_rest_is_done(database):
    observe(database, seen("a"), seen("b"))
    batch = claim(database)
    with database.begin() as connection:
        items = ledger.open_for(connection, batch.id, "run")
        ledger.set_aside(connection, batch.id, items[0].id, "quarantined", "bad header")
    finish(database, batch)
    assert states(database) == {"a@e1": "quarantined", "b@e1": "done"}
    assert observe(database, seen("a")) == 0
    assert observe(database, seen("a", "mended")) == 1


def test_a_failed_batch_is_split_and_its_last_file_quarantined(database):
    observe(database, seen("a"), seen("b"), seen("c"))
    batch = claim(database)
    with database.begin() as connection:
        ledger.settle(connection, batch.id, Split(), "step failed")
    with database.begin() as connection:
        left, right = ledger.open_batches(connection, "inbox")
    assert sorted([files(database, left), files(database, right)]) == [["a@e1", "c@e1"], ["b@e1"]]
    single = left if left.files == 1 else right
    with database.begin() as connection:
        assert ledger.attempt(connection, single.id) == Attempt(files=1, attempt=1)
        ledger.settle(connection, single.id, Quarantine(), "run 1: it is broken")
    with database.connect() as connection:
        row = connection.execute(select(obj).where(obj.c.state == "quarantined")).one()
    assert (row.key, row.error, row.attempts) == ("b", "run 1: it is broken", 2)


def test_a_retry_waits_for_its_time(database):
    observe(database, seen("a"))
    batch = claim(database)
    with database.begin() as connection:
        ledger.settle(connection, batch.id, Retry(timedelta(hours=1)), "S3 is away")
    with database.begin() as connection:
        (again,) = ledger.open_batches(connection, "inbox")
    assert not again.due


def test_a_failed_version_gives_way_to_a_newer_one(database):
    observe(database, seen("a", "broken"))
    batch = claim(database)
    observe(database, seen("a", "mended"))
    with database.begin() as connection:
        ledger.settle(connection, batch.id, Retry(timedelta(hours=1)), "step failed")
    assert states(database) == {"a@broken": "superseded", "a@mended": "new"}
    assert files(database, claim(database)) == ["a@mended"]


def test_restored_objects_are_not_new(database):
    observe(database, seen("a", "multi-2", 9), seen("b"))
    finish(database, claim(database))
    restored = {
        "bucket": "bucket",
        "key": "a",
        "old": {"etag": '"multi-2"', "size": 9, "version_id": None},
        "new": {"etag": "single", "version_id": None},
    }
    with database.begin() as connection:
        assert ledger.adopt(connection, [restored]) == 1
    assert observe(database, seen("a", "single", 9), seen("b")) == 0


def test_restoring_twice_is_restoring_once(database):
    """The list of what was restored is deleted after it is read: a daemon killed in between reads it again."""
    observe(database, seen("a", "multi-2"))
    finish(database, claim(database))
    restored = {
        "bucket": "bucket",
        "key": "a",
        "old": {"etag": "multi-2", "size": 1},
        "new": {"etag": "single"},
    }
    for _ in range(2):
        with database.begin() as connection:
            ledger.adopt(connection, [restored])
    assert states(database) == {"a@single": "done"}


def test_a_restored_object_whose_bytes_once_came_in_another_way(database):
    """Its new name is one that the key had before."""
    for etag in ("single", "multi-2"):
        observe(database, seen("a", etag))
        finish(database, claim(database))
    restored = {
        "bucket": "bucket",
        "key": "a",
        "old": {"etag": "multi-2", "size": 1},
        "new": {"etag": "single"},
    }
    with database.begin() as connection:
        assert ledger.adopt(connection, [restored]) == 1
    assert observe(database, seen("a", "single")) == 0


def test_a_restored_object_whose_bytes_are_in_flight(database):
    observe(database, seen("a", "single"))
    batch = claim(database)
    observe(database, seen("a", "multi-2"))
    restored = {
        "bucket": "bucket",
        "key": "a",
        "old": {"etag": "multi-2", "size": 1},
        "new": {"etag": "single"},
    }
    with database.begin() as connection:
        ledger.adopt(connection, [restored])
    finish(database, batch)
    assert states(database) == {"a@single": "done"}
    assert observe(database, seen("a", "single")) == 0


@pytest.mark.parametrize("said", ["byte \0 in line 3", "half a pair: \ud800", "é" * 9000, ""])
def test_an_error_of_any_text_is_kept(database, said):
    """Errors quote files, and Postgres takes no NUL: one such file must not stop every tick of its landing."""
    observe(database, seen("a"), seen("b"))
    batch = claim(database)
    with database.begin() as connection:
        items = ledger.open_for(connection, batch.id, "run")
        ledger.set_aside(connection, batch.id, items[0].id, "quarantined", said)
        ledger.settle(connection, batch.id, Quarantine(), said)
    with database.connect() as connection:
        kept = connection.execute(select(obj.c.error)).scalars().all()
    assert len(kept) == 2
    assert all(error is not None and len(error) <= ledger.ERROR_LENGTH for error in kept)


def test_the_longest_keys_there_are(database):
    keys = [f"{'é' * 511}{n}" for n in range(2)]
    assert observe(database, *[seen(key, "e" * 64, version_id="v" * 1024) for key in keys]) == 2
    assert len(files(database, claim(database))) == 2


def test_a_large_file_and_an_empty_one(database):
    observe(database, seen("huge", size=5 * 1024**4), seen("empty", size=0))
    assert files(database, claim(database)) == ["huge@e1"]
    assert files(database, claim(database)) == ["empty@e1"]


def test_a_batch_knows_what_it_was_before(database):
    observe(database, seen("a"), seen("b"))
    first = claim(database)
    with database.begin() as connection:
        ledger.settle(connection, first.id, Split(), "step failed")
    with database.begin() as connection:
        half = ledger.open_batches(connection, "inbox")[0]
        ledger.settle(connection, half.id, Retry(NOW), "again")
    with database.begin() as connection:
        again = ledger.open_batches(connection, "inbox")[-1]
        told = inspect.history(connection, again.id)
    assert [(one.id, one.error) for one in told] == [
        (again.id, None),
        (half.id, "again"),
        (first.id, "step failed"),
    ]


# What is asked often must not cost more when the ledger is large


def many(database: Engine, statement: str) -> None:
    with database.begin() as connection:
        connection.execute(text(statement))
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE slipway_ledger.landing_object"))


def rows_read(database: Engine, work: Callable[[Connection], object]) -> int:
    """How many rows of the ledger a piece of work looks at, by Postgres' own count."""
    table = text("'slipway_ledger.landing_object'::regclass")
    read = select(func.pg_stat_get_xact_tuples_returned(table) + func.pg_stat_get_xact_tuples_fetched(table))
    with database.connect() as connection:
        before = connection.execute(read).scalar_one()
        work(connection)
        after = connection.execute(read).scalar_one()
        connection.rollback()
    return after - before


def test_one_process_takes_a_landing_in_at_a_time(database):
    with database.connect() as one, database.connect() as two:
        with ledger.intake_lock(one, "inbox") as mine:
            assert mine
            with ledger.intake_lock(two, "inbox") as second:
                assert not second
            with ledger.intake_lock(two, "other") as other:
                assert other
        with ledger.intake_lock(two, "inbox") as now:
            assert now


MANY_DONE = (
    "INSERT INTO slipway_ledger.landing_object (landing, bucket, key, version, etag, size, state)"
    " SELECT 'inbox', 'bucket', 'k' || n, 'v', 'e', 1, 'done' FROM generate_series(1, 50000) n"
)


def test_a_claim_does_not_look_at_what_is_done(database):
    many(database, MANY_DONE)
    observe(database, seen("fresh"))
    assert rows_read(database, lambda connection: ledger.claim(connection, "inbox", **ALL)) < 100


def test_a_claim_does_not_look_at_all_that_waits(database):
    """A bucket that was declared as a landing when it was full."""
    many(database, MANY_DONE.replace("'done'", "'new'"))
    assert rows_read(database, lambda c: ledger.claim(c, "inbox", max_files=10, max_bytes=10**9)) < 200


def test_settling_looks_at_its_own_batch_only(database):
    many(database, MANY_DONE)
    observe(database, seen("a"), seen("b"))
    batch = claim(database)

    def work(connection: Connection) -> None:
        ledger.attempt(connection, batch.id)
        ledger.settle(connection, batch.id, Split(), "step failed")

    assert rows_read(database, work) < 200


def test_taking_in_looks_at_the_keys_that_were_seen(database):
    many(database, MANY_DONE)
    keys = [seen(f"k{n}", "e", version_id="v") for n in range(1, 101)]
    assert rows_read(database, lambda connection: ledger.observe(connection, "inbox", keys)) <= 2 * len(keys)


def test_taking_in_a_key_does_not_look_at_all_its_versions(database):
    """A file that is overwritten every minute has half a million of them in a year."""
    many(database, MANY_DONE.replace("'k' || n, 'v'", "'latest.csv', 'v' || n"))
    assert (
        rows_read(database, lambda connection: ledger.observe(connection, "inbox", [seen("latest.csv")])) < 50
    )
