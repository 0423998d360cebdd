"""`slipway landing` on a ledger, as its user calls it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from slipway import identity
from slipway.aws import s3_client, sqs_client
from slipway.cli.landing import command
from slipway.config.connections import s3_settings as settings_of
from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.config.model import Platform
from slipway.database import upgrade
from slipway.database.engine import engine
from slipway.landing import ledger, queues
from slipway.landing.isolation import Quarantine, Retry, Split
from slipway.landing.objects import Seen

HOSTILE = 'it\'s "x"; DROP TABLE y; --/../\n\x1b[31m\u202etxt.csv'
SHOWN = 'it\'s "x"; DROP TABLE y; --/../\\n\\x1b[31m\\u202etxt.csv'


@pytest.fixture
def platform() -> Platform:
    return parse(
        "landing: {inbox: {bucket: the-inbox}, archive: {bucket: the-archive, prefix: old/, mode: list}}\n",
        "platform.yaml",
    )


@pytest.fixture
def database(
    platform: Platform, platform_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    for name, value in platform_env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLIPWAY_PLATFORM_JSON", platform.model_dump_json(by_alias=True, exclude_unset=True))
    found = engine(platform_env["SLIPWAY_POSTGRES_URL"])
    with found.begin() as connection:
        upgrade(connection)
    yield found
    found.dispose()


def landing(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def told(*arguments: str) -> Any:
    done = landing(*arguments, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.output)


def refused(*arguments: str) -> str:
    done = landing(*arguments)
    if isinstance(done.exception, UserError):
        return str(done.exception)
    assert done.exit_code == 2, (done.output, done.exception)
    return done.output


def arrive(database: Engine, *keys: str, etag: str = "e1", landing: str = "inbox") -> None:
    with database.begin() as connection:
        ledger.observe(connection, landing, [Seen(f"the-{landing}", key, etag, 7) for key in keys])


def claim(database: Engine, *, opened_by: str | None = None) -> str:
    with database.begin() as connection:
        batch = ledger.claim(connection, "inbox", max_files=1000, max_bytes=10**9)
        assert batch is not None
        if opened_by:
            ledger.open_for(connection, batch.id, opened_by)
        return batch.id


def settle(database: Engine, batch: str, verdict: Any, error: str = "run r1: it is broken") -> None:
    with database.begin() as connection:
        ledger.settle(connection, batch, verdict, error)


def quarantined(database: Engine, *keys: str) -> None:
    for key in keys:
        arrive(database, key)
        settle(database, claim(database, opened_by="r1"), Quarantine())


def states(database: Engine) -> dict[str, str]:
    return {one["key"]: one["state"] for one in reversed(told("list", "inbox")["objects"])}


def test_the_overview_counts_what_is_where(database: Engine) -> None:
    quarantined(database, "bad")
    arrive(database, "a", "b")
    settle(database, claim(database, opened_by="r2"), Split(timedelta(hours=1)), "run r2: no such column")
    arrive(database, "c")
    arrive(database, "gone", landing="forgotten")
    with database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO slipway_ledger.storage_identity (id) VALUES ('0')")
        ledger.halt(connection, "this is not the storage")

    found = told("list")
    assert found["halted"] == "this is not the storage"
    by_name = {one["landing"]: one for one in found["landings"]}
    assert set(by_name) == {"archive", "forgotten", "inbox"}
    assert by_name["inbox"]["states"] == {
        "new": 1, "claimed": 2, "done": 0, "quarantined": 1, "superseded": 0
    }  # fmt: skip
    assert by_name["inbox"]["oldest_waiting"]
    assert not by_name["forgotten"]["declared"]
    assert [(one["files"], one["earlier_error"], one["run_id"]) for one in by_name["inbox"]["batches"]] == [
        (1, "run r2: no such column", None)
    ] * 2

    text = landing("list").output
    assert "everything stands still: this is not the storage" in text
    assert "forgotten is not in platform.yaml" in text
    assert text.count("waits until") == 2
    assert "run r2: no such column" in text


def test_the_overview_says_what_the_queue_holds(
    database: Engine, platform: Platform, platform_env: dict[str, str]
) -> None:
    settings = settings_of(platform, "default", platform_env)
    s3, sqs = s3_client(settings), sqs_client(settings)
    s3.create_bucket(Bucket=platform.lake.bucket)
    s3.create_bucket(Bucket="the-inbox")
    with database.begin() as connection:
        name = queues.queue_name(identity.create(connection, s3, platform))
    assert "there is none" in told("list")["queues"]["default"]["error"]
    made = queues.ensure(s3, sqs, name, [platform.landing["inbox"]]).queues
    sqs.purge_queue(QueueUrl=made.queue)
    sqs.send_message(QueueUrl=made.queue, MessageBody="{}")
    sqs.send_message(QueueUrl=made.dead_letters, MessageBody="{}")
    depth = told("list")["queues"]["default"]
    assert (depth["messages"], depth["dead_letters"]) == (1, 1)
    assert f"1 messages, 1 dead letters in {made.dead_letters}" in landing("list").output


def test_a_queue_that_does_not_answer_costs_the_overview_little(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_S3_ENDPOINT", "http://127.0.0.1:1")
    assert "unknown: " in told("list")["queues"]["default"]["error"]


def test_objects_by_state_and_prefix(database: Engine) -> None:
    arrive(database, "x/1", "x/2", "x%2", "y/1")
    assert [one["key"] for one in told("list", "inbox", "--prefix", "x/")["objects"]] == ["x/2", "x/1"]
    assert told("list", "inbox", "--prefix", "x%")["objects"][0]["key"] == "x%2", "no wildcard"
    assert told("list", "inbox", "--state", "done")["objects"] == []
    assert told("list", "inbox", "--limit", "1")["more"] is True
    assert "there are more" in landing("list", "inbox", "--limit", "1").output


def test_keys_are_shown_harmlessly_and_taken_as_they_are(database: Engine) -> None:
    arrive(database, HOSTILE)
    for output in (
        landing("list", "inbox").output,
        landing("show", HOSTILE).output,
        landing("quarantine", HOSTILE, "--reason", "\x1b[2J").output,
        landing("show", f"s3://the-inbox/{HOSTILE}").output,
        refused("quarantine", HOSTILE, "--reason", "again"),
        landing("retry", HOSTILE).output,
    ):
        assert SHOWN in output
        assert "\x1b" not in output
    assert told("show", HOSTILE)[0]["key"] == HOSTILE
    assert "\\x1b" in refused("show", "\x1b")


def test_show_tells_every_try_with_its_run_and_error(database: Engine) -> None:
    arrive(database, "a", "b")
    first = claim(database, opened_by="run-1")
    settle(database, first, Split(), "run run-1: line 3\nof b is no number")
    arrive(database, "b", etag="e2")
    (newer, version) = told("show", "b")
    assert newer["state"] == "new"
    assert version["attempts"] == 2
    assert [(one["files"], one["run_id"]) for one in version["batches"]] == [(1, None), (2, "run-1")]
    text = landing("show", "b").output
    assert "2 files, taken back, run run-1" in text
    assert "line 3\n" in text
    assert "of b is no number" in text


def test_an_object_by_its_number_and_a_key_that_looks_like_one(database: Engine) -> None:
    arrive(database, "first", "second")
    number = told("show", "first")[0]["id"]
    assert told("show", str(number))[0]["key"] == "first"
    arrive(database, str(number))
    assert told("show", str(number))[0]["key"] == str(number), "keys come first"


def test_quarantined_files_wait_again(database: Engine) -> None:
    quarantined(database, "a", "b", "c")
    assert [one["done"] for one in told("retry", "a", "b")] == ["waits again"] * 2
    assert states(database) == {"a": "new", "b": "new", "c": "quarantined"}
    (version,) = told("show", "a")
    assert (version["attempts"], version["error"], version["batches"]) == (0, None, [])
    claim(database)
    assert states(database) == {"a": "claimed", "b": "claimed", "c": "quarantined"}


def test_retry_is_all_or_nothing(database: Engine) -> None:
    quarantined(database, "a")
    arrive(database, "b")
    said = refused("retry", "a", "b")
    assert "b (2): it waits to be claimed" in said
    assert "nothing was changed" in said
    assert states(database) == {"a": "quarantined", "b": "new"}
    assert "knows no object nowhere" in refused("retry", "a", "nowhere")
    assert states(database)["a"] == "quarantined"


def test_a_version_that_a_newer_one_overtook_is_not_tried_again(database: Engine) -> None:
    quarantined(database, "a")
    number = told("show", "a")[0]["id"]
    arrive(database, "a", etag="e2")
    assert "a newer version of the key arrived, which is new" in refused("retry", str(number))
    assert "it waits to be claimed" in refused("retry", "a")
    batch = claim(database, opened_by="run-2")
    assert "run run-2 has it" in refused("retry", "a")
    with database.begin() as connection:
        ledger.finish(connection, batch)
    assert "it is done; what is put again under its key" in refused("retry", "a")
    assert told("retry", "--all", "--landing", "inbox") == {
        "waiting_again": 0, "overtaken": 1, "batches_due": 0
    }  # fmt: skip


def test_all_that_a_landing_holds_back_goes_again(database: Engine) -> None:
    quarantined(database, "a", "b")
    arrive(database, "c", "d")
    settle(database, claim(database), Retry(timedelta(hours=1)))
    assert told("retry", "--all", "--landing", "inbox") == {
        "waiting_again": 2, "overtaken": 0, "batches_due": 1
    }  # fmt: skip
    with database.connect() as connection:
        assert [batch.due for batch in ledger.open_batches(connection, "inbox")] == [True]
    assert states(database) == {"a": "new", "b": "new", "c": "claimed", "d": "claimed"}


def test_a_batch_that_waits_for_a_later_time_is_due_at_once(database: Engine) -> None:
    arrive(database, "c", "d")
    settle(database, claim(database), Retry(timedelta(hours=1)))
    assert [one["done"] for one in told("retry", "c")] == ["its batch is due now"]
    assert "its run is under way" in refused("retry", "c")


def test_a_file_that_no_run_has_read_is_set_aside(database: Engine) -> None:
    arrive(database, "waits", "claimed")
    claim(database)
    arrive(database, "fresh")
    assert [one["done"] for one in told("quarantine", "claimed", "fresh", "--reason", "duplicate of x")] == [
        "quarantined"
    ] * 2
    assert states(database) == {"waits": "claimed", "claimed": "quarantined", "fresh": "quarantined"}
    assert told("show", "fresh")[0]["error"] == "set aside by hand: duplicate of x"
    with database.begin() as connection:
        (batch,) = ledger.open_batches(connection, "inbox")
        assert [one.key for one in ledger.open_for(connection, batch.id, "run") or []] == ["waits"]


def test_a_file_that_a_run_has_is_not_set_aside(database: Engine) -> None:
    """The run holds a copy, and would commit its rows all the same."""
    arrive(database, "a")
    batch = claim(database, opened_by="run-7")
    arrive(database, "b")
    assert "a (1): run run-7 has it" in refused("quarantine", "a", "b", "--reason", "bad")
    assert states(database) == {"a": "claimed", "b": "new"}
    with database.begin() as connection:
        ledger.finish(connection, batch)
    assert "it is done" in refused("quarantine", "a", "--reason", "bad")


def test_a_key_of_two_landings_must_be_told_apart(database: Engine) -> None:
    arrive(database, "old/a")
    arrive(database, "old/a", landing="archive")
    assert len(told("show", "old/a")) == 2
    said = refused("quarantine", "old/a", "--reason", "x")
    assert "archive (s3://the-archive), inbox (s3://the-inbox)" in said
    assert "--landing" in said
    assert told("quarantine", "old/a", "--landing", "archive", "--reason", "x")[0]["landing"] == "archive"
    assert states(database) == {"old/a": "new"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "nope"], "no landing named nope"),
        (["list", "--state", "done"], "objects of which landing?"),
        (["list", "inbox", "--state", "bad"], "'bad' is not one of"),
        (["list", "inbox", "--limit", "0"], "0 is not in the range"),
        (["show", "nope"], "the ledger knows no object nope in any landing"),
        (["show", "nope", "--landing", "inbox"], "in the landing inbox"),
        (["show", "99999999999999999999999"], "the ledger knows no object"),
        (["retry"], "which files?"),
        (["retry", "--all"], "all files of which landing?"),
        (["retry", "--all", "--landing", "nope"], "no landing named nope"),
        (["retry", "a", "--all", "--landing", "inbox"], "which files?"),
        (["quarantine", "a"], "--reason"),
        (["quarantine", "a", "--reason", " "], "the reason is empty"),
    ],
)
def test_bad_input_is_named(database: Engine, arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)


def test_a_database_without_a_ledger_says_what_to_do(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA slipway_ledger CASCADE")
    assert "run `slipway bootstrap`" in refused("list")
    monkeypatch.setenv("SLIPWAY_POSTGRES_URL", "postgresql://u:secret@127.0.0.1:1/x")
    assert "Postgres at 127.0.0.1:1 does not answer" in refused("list")


def test_a_change_waits_for_the_intake_but_not_for_ever(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantined(database, "a")
    monkeypatch.setattr("slipway.cli.landing.PATIENCE_SECONDS", 1)
    with database.connect() as daemon, ledger.intake_lock(daemon, "inbox"):
        assert "nothing was changed" in refused("retry", "a")
    assert states(database) == {"a": "quarantined"}
    assert told("retry", "a")
