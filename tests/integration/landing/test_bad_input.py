"""What the user sees when the landing's storage refuses, falls silent or gives what cannot be used.

The landing `inbox` is on a storage of its own behind a door that the tests shut; `well` is where all is well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterEventType, DagsterInstance, SkipReason
from sqlalchemy import Engine, select

from doorway import Doorway
from landing_project import Project
from slipway import identity
from slipway.aws import sqs_client
from slipway.config.connections import s3_settings as settings_of
from slipway.config.loader import parse
from slipway.config.model import Platform
from slipway.database.tables import landing_batch, landing_object
from slipway.landing import queues, resource
from slipway.landing import watch as watching
from slipway.landing.download import Unreadable, fetch
from slipway.landing.ledger import ClaimedObject
from slipway.landing.watch import Watch


@pytest.fixture
def door(s3_server) -> Iterator[Doorway]:
    with Doorway(s3_server.endpoint).serving() as found:
        yield found


@pytest.fixture
def platform(platform, door: Doorway, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("DOOR_KEY", "key")
    bucket = platform.landing["inbox"].bucket
    return parse(
        f"""
storage:
  default: {{bundled: true}}
  other:
    endpoint: {door.endpoint}
    path_style: true
    access_key_id: {{env: DOOR_KEY}}
    secret_access_key: {{env: DOOR_KEY}}
lake: {{bucket: {platform.lake.bucket}}}
landing:
  inbox: {{storage_ref: other, bucket: {bucket}}}
  well: {{bucket: well-{bucket}}}
code_locations:
  shop: {{path: code_locations/shop, image: {{repository: slipway/shop, tag: test}}}}
""",
        "platform.yaml",
    )


@pytest.fixture
def project(platform, platform_env, database, lake, door) -> Iterator[Project]:
    with DagsterInstance.ephemeral() as instance:
        found = Project(platform, {**platform_env, "DOOR_KEY": "key"}, database, lake, instance)
        found.s3.create_bucket(Bucket=platform.landing["well"].bucket)
        yield found


@pytest.fixture
def watch(project: Project, platform, platform_env, monkeypatch) -> Watch:
    monkeypatch.setitem(watching.LIST_EVERY_SECONDS, "events", 1.0)
    return Watch(platform, {**platform_env, "DOOR_KEY": "key"}, project.database)


def arrived(project: Project, landing: str = "inbox") -> dict[str, str]:
    with project.database.connect() as connection:
        rows = connection.execute(
            select(landing_object.c.key, landing_object.c.state)
            .where(landing_object.c.landing == landing)
            .order_by(landing_object.c.seq)
        )
        return dict(rows.tuples().all())


def turns(watch: Watch, condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        watch.turn(lambda wait: time.sleep(min(wait, 0.2)))


def errors(project: Project) -> dict[str, str]:
    """What the ledger says of each object."""
    with project.database.connect() as connection:
        return dict(connection.execute(select(landing_object.c.key, landing_object.c.error)).tuples().all())


def batch_errors(database: Engine) -> list[str]:
    with database.connect() as connection:
        return list(
            connection.execute(
                select(landing_batch.c.error)
                .where(landing_batch.c.state == "revoked")
                .order_by(landing_batch.c.finished_at)
            ).scalars()
        )


def run_log(project: Project) -> str:
    """The run's log in the UI: what the asset logged, and its errors."""
    lines = []
    for record in project.instance.get_run_records():
        for entry in project.instance.all_logs(record.dagster_run.run_id):
            lines.append(entry.user_message)
            data = entry.dagster_event and entry.dagster_event.event_specific_data
            if entry.dagster_event and entry.dagster_event.event_type is DagsterEventType.STEP_FAILURE:
                lines.append(data.error.to_string())
    return "\n".join(lines)


def of_bucket(bucket: str, method: str | None = None, *, key: str = ""):
    return lambda verb, path: path.startswith(f"/{bucket}{key}") and method in (None, verb)


# Rights


def test_a_landing_whose_credentials_lose_their_rights(project, watch, door, caplog):
    """The log says which landing and why; nothing is lost or blamed; the other landing goes on."""
    project.land(first="1")
    (request,) = project.requests()
    turns(watch, lambda: watch._sources[0].queues and watch._sources[1].queues)
    door.refuse = of_bucket(project.bucket)
    project.s3_direct.put_object(Bucket=project.bucket, Key="second", Body=b"2")
    project.s3_direct.put_object(Bucket=project.platform.landing["well"].bucket, Key="fine", Body=b"3")
    with caplog.at_level(logging.INFO, "slipway.landing"):
        turns(watch, lambda: "reading of inbox fails" in caplog.text and arrived(project, "well"))
    assert "reading of inbox fails, and is tried again: ClientError: An error occurred (403)" in caplog.text

    run_id = project.execute(request)
    said = f"cannot read s3://{project.bucket}/first: An error occurred (AccessDenied)"
    assert f"LandingDenied: {said}" in run_log(project)
    assert isinstance(project.tick(), SkipReason), "it waits"
    (error,) = batch_errors(project.database)
    assert error.startswith(f"run {run_id}: ")
    assert "AccessDenied" in error
    assert arrived(project) == {"first": "claimed"}

    door.open()
    with caplog.at_level(logging.INFO, "slipway.landing"):
        turns(watch, lambda: "second" in arrived(project))
    project.pass_time()
    project.drive()
    assert arrived(project) == {"first": "done", "second": "done"}
    assert project.rows() == 2


def test_a_listing_without_rights_says_so_once(project, watch, door, caplog):
    door.refuse = of_bucket(project.bucket, "GET")
    with caplog.at_level(logging.INFO, "slipway.landing"):
        turns(watch, lambda: "listing of inbox fails" in caplog.text)
        watch.turn(lambda wait: None)
        watch.turn(lambda wait: None)
    assert (
        caplog.text.count("listing of inbox fails, and is tried again: AccessDenied: An error occurred") == 1
    )
    door.open()
    with caplog.at_level(logging.INFO, "slipway.landing"):
        turns(watch, lambda: "listing of inbox is well again" in caplog.text)


def test_one_object_that_may_not_be_read_is_quarantined_and_the_others_are_loaded(project, door):
    """Its own key or rights: the others of its batch can be read all the time."""
    project.land(a="1", secret="2", c="3")
    door.refuse = of_bucket(project.bucket, key="/secret")
    project.drive()
    assert project.runs == 1
    assert arrived(project) == {"a": "done", "secret": "quarantined", "c": "done"}
    assert (
        f"cannot read s3://{project.bucket}/secret: An error occurred (AccessDenied)"
        in errors(project)["secret"]
    )
    assert "is left out (quarantined)" in run_log(project)


def test_rights_that_are_lost_in_the_middle_of_a_batch_quarantine_nothing(project, door):
    project.land(**{f"f{number}": "1" for number in range(30)})
    got: list[str] = []

    def after_some(method: str, path: str) -> bool:
        if not path.startswith(f"/{project.bucket}/f"):
            return False
        got.append(path)
        return len(got) > 5

    door.refuse = after_some
    (request,) = project.requests()
    project.execute(request)
    assert isinstance(project.tick(), SkipReason)
    assert set(arrived(project).values()) == {"claimed"}
    door.open()
    project.pass_time()
    project.drive()
    assert set(arrived(project).values()) == {"done"}


def test_an_archived_object_is_quarantined_with_what_to_do(project, door):
    project.land(a="1", cold="2")
    door.refuse, door.code = of_bucket(project.bucket, key="/cold"), "InvalidObjectState"
    project.drive()
    assert arrived(project) == {"a": "done", "cold": "quarantined"}
    assert "it is archived, and must be restored" in errors(project)["cold"]


# Silence


def test_s3_that_accepts_and_never_answers(project, watch, door, caplog, monkeypatch):
    monkeypatch.setattr(watching, "READ_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(resource, "READ_TIMEOUT_SECONDS", 1.0)
    project.land(first="1")
    (request,) = project.requests()
    door.swallow = lambda method, path: True
    project.s3_direct.put_object(Bucket=project.platform.landing["well"].bucket, Key="fine", Body=b"3")
    with caplog.at_level(logging.INFO, "slipway.landing"):
        turns(watch, lambda: "listing of inbox fails" in caplog.text and arrived(project, "well"))
    assert f'ReadTimeoutError: Read timeout on endpoint URL: "{door.endpoint}/{project.bucket}' in caplog.text
    began = time.monotonic()
    watch.turn(lambda wait: None)
    assert time.monotonic() - began < 40

    began = time.monotonic()
    project.execute(request)
    assert time.monotonic() - began < 30
    assert f"LandingUnavailable: cannot read s3://{project.bucket}/first: Read timeout" in run_log(project)
    assert isinstance(project.tick(), SkipReason)
    assert arrived(project) == {"first": "claimed"}
    door.open()
    project.pass_time()
    project.drive()
    assert arrived(project) == {"first": "done"}


# Queues


def test_a_bucket_whose_notifications_may_not_be_set_is_listed_and_said(project, watch, door, caplog):
    door.refuse = lambda method, path: path.startswith(f"/{project.bucket}") and "notification" in path
    project.s3_direct.put_object(Bucket=project.bucket, Key="a", Body=b"1")
    with caplog.at_level(logging.ERROR, "slipway.landing"):
        turns(watch, lambda: "a" in arrived(project))
        watch.turn(lambda wait: None)
    said = f"S3 does not let us send the events of {project.bucket} to our queue: An error occurred (AccessDenied)"
    assert caplog.text.count(said) == 1
    assert "s3:PutBucketNotification" in caplog.text
    assert "arn:aws:sqs:us-east-1:" in caplog.text, "where SNS or EventBridge may send them"


def test_a_queue_that_is_gone_is_made_again_with_its_dead_letters(
    project, watch, platform, platform_env, caplog
):
    turns(watch, lambda: all(source.queues for source in watch._sources))
    sqs = sqs_client(settings_of(platform, "default", platform_env))
    with project.database.connect() as connection:
        name = queues.queue_name(identity.recorded(connection) or "")
    found = queues.find(sqs, name)
    assert found is not None
    sqs.delete_queue(QueueUrl=found.dead_letters)
    sqs.send_message(QueueUrl=found.queue, MessageBody="no event")
    with caplog.at_level(logging.INFO, "slipway.landing"):
        turns(watch, lambda: "goes to the dead-letter queue" in caplog.text)
        sqs.delete_queue(QueueUrl=found.queue)
        turns(watch, lambda: "the queue of default is gone, and is made again" in caplog.text)
        turns(watch, lambda: all(source.queues for source in watch._sources))
    assert queues.find(sqs, name) is not None


# Files that a run cannot use


def test_an_object_deleted_or_overwritten_before_it_is_read(project):
    project.land(gone="1", changed="2", a="3")
    (request,) = project.requests()
    project.s3.delete_object(Bucket=project.bucket, Key="gone")
    project.s3.put_object(Bucket=project.bucket, Key="changed", Body=b"4")
    project.execute(request)
    assert arrived(project) == {"gone": "superseded", "changed": "superseded", "a": "done"}
    assert errors(project)["gone"] == "it was deleted before it was read"
    assert errors(project)["changed"] == "it was overwritten before it was read"
    assert (
        f"s3://{project.bucket}/gone is left out (superseded): it was deleted before it was read"
        in run_log(project)
    )
    project.land()
    project.drive()
    assert arrived(project) == {"gone": "superseded", "changed": "done", "a": "done"}


@pytest.mark.parametrize("way", ["the version", "a marker"])
def test_a_claimed_version_that_is_deleted_in_a_bucket_with_versions(project, way):
    project.s3.put_bucket_versioning(Bucket=project.bucket, VersioningConfiguration={"Status": "Enabled"})
    project.land(a="1", b="2")
    (request,) = project.requests()
    which = {}
    if way == "the version":
        which["VersionId"] = project.s3.head_object(Bucket=project.bucket, Key="a")["VersionId"]
    project.s3.delete_object(Bucket=project.bucket, Key="a", **which)
    project.execute(request)
    # A marker hides a version; what was claimed is still there, and is what is read.
    assert arrived(project) == {"a": "superseded" if which else "done", "b": "done"}


def test_a_version_is_read_as_it_was_claimed_when_a_newer_one_is_there(project):
    project.s3.put_bucket_versioning(Bucket=project.bucket, VersioningConfiguration={"Status": "Enabled"})
    project.land(a="1")
    (request,) = project.requests()
    project.land(a="2,3")
    project.execute(request)
    assert project.rows() == 1
    project.drive()
    assert project.runs == 2


def test_files_without_content_and_with_keys_like_folders_reach_the_asset(project):
    """A console's folder does not; whether an empty file is an error, the asset decides."""
    for key, body in (
        ("empty.csv", b""),
        ("folder/", b""),
        ("trailing/", b"1"),
        ("/lead", b"2"),
        ("a//b", b"3"),
    ):
        project.s3.put_object(Bucket=project.bucket, Key=key, Body=body)
    project.land()
    (request,) = project.requests()
    assert request.tags["slipway/files"] == "4"
    project.execute(request)
    project.drive()
    assert arrived(project) == {
        "empty.csv": "quarantined", "trailing/": "done", "/lead": "done", "a//b": "done"
    }  # fmt: skip


def test_a_file_that_the_scratch_has_no_room_for_says_so(project):
    etag = project.s3.put_object(Bucket=project.bucket, Key="large", Body=b"x" * 100_000)["ETag"].strip('"')
    item = ClaimedObject(1, project.bucket, "large", etag, None, etag, 100_000)
    with pytest.raises(OSError, match=r"has no room for s3://.*/large") as full:
        fetch(project.s3, item, Path("/dev/full"))
    assert "(100000 bytes)" in str(full.value)
    assert "ephemeral-storage" in str(full.value)
    assert "max_bytes" in str(full.value)


def test_an_archived_object_in_words(project, door):
    door.refuse, door.code = of_bucket(project.bucket), "InvalidObjectState"
    item = ClaimedObject(1, project.bucket, "cold", "e", None, "e", 1)
    with pytest.raises(Unreadable, match="restored before it can be read"):
        fetch(project.s3, item, Path("/dev/null"))
