"""Both ways into the ledger, on a real queue and real buckets."""

import json
import logging
import time
import uuid
from collections.abc import Callable

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from sqlalchemy import Engine, select, text

from slipway import identity
from slipway.aws import s3_client, sqs_client
from slipway.config.connections import s3_settings as settings_of
from slipway.database.tables import landing_listing, landing_object
from slipway.landing import intake, ledger, queues
from slipway.landing.events import Hint
from slipway.landing.watch import Watch


class World:
    """A landing with its clients, its queue and its ledger."""

    def __init__(self, platform, env, database: Engine) -> None:
        settings = settings_of(platform, "default", env)
        self.platform, self.env, self.database = platform, env, database
        self.settings = settings
        self.s3, self.sqs = s3_client(settings), sqs_client(settings)
        self.landing = platform.landing["inbox"]
        self.bucket = self.landing.bucket
        self.s3.create_bucket(Bucket=self.bucket)
        self.s3.create_bucket(Bucket=platform.lake.bucket)
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        self.queues: queues.Queues | None = None

    def client(self, service: str):
        """Another service of the same server."""
        return boto3.session.Session().client(
            service,
            endpoint_url=self.settings.endpoint,
            region_name=self.settings.region,
            aws_access_key_id=self.settings.access_key_id,
            aws_secret_access_key=self.settings.secret_access_key,
        )

    def with_queue(self) -> "World":
        self.queues = queues.ensure(self.s3, self.sqs, self.name, [self.landing]).queues
        return self

    def put(self, key: str, body: bytes = b"x") -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def receive(self) -> int:
        """Take in what the queue holds; how many objects were new."""
        assert self.queues is not None
        new = 0
        while messages := intake.receive(self.sqs, self.queues, 1):
            new += intake.take_in(
                self.database, self.s3, self.sqs, self.queues, {"inbox": self.landing}, messages
            ).new
        return new

    def send(self, body: str) -> None:
        assert self.queues is not None
        self.sqs.send_message(QueueUrl=self.queues.queue, MessageBody=body)

    def list(self, budget: float = 60) -> intake.Progress | None:
        return intake.reconcile(self.database, self.s3, "inbox", self.landing, budget)

    def known(self) -> dict[str, str]:
        """Newest state by key."""
        with self.database.connect() as connection:
            rows = connection.execute(select(landing_object).order_by(landing_object.c.seq))
            return {row.key: row.state for row in rows}

    def depth(self, url: str) -> int:
        """Messages in a queue, received or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in found.values())


@pytest.fixture
def world(platform, platform_env, database) -> World:
    return World(platform, platform_env, database)


def created(bucket: str, *keys: str) -> str:
    return json.dumps(
        {
            "Records": [
                {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}
                for key in keys
            ]
        }
    )


HOSTILE = [
    "it's.csv",
    'say "x".csv',
    "a b+c%20d.csv",
    "../../etc/passwd",
    "'; DROP TABLE x; --",
    "é/日本.csv",
    "?*[x]",
]


def test_events_become_rows_and_the_queue_is_empty(world):
    world.with_queue()
    for key in HOSTILE:
        world.put(key)
    assert world.receive() == len(HOSTILE)
    assert set(world.known()) == set(HOSTILE)
    assert world.depth(world.queues.queue) == 0
    assert world.depth(world.queues.dead_letters) == 0, "the test event is no stranger"


def test_doubled_late_and_false_events_change_nothing(world):
    world.with_queue()
    world.put("a", b"1")
    assert world.receive() == 1
    for _ in range(3):
        world.send(created(world.bucket, "a"))
    world.send(created(world.bucket, "never-was"))
    world.send(created("another-bucket", "a"))
    assert world.receive() == 0
    assert world.depth(world.queues.queue) == 0


def test_a_late_event_of_an_older_version_does_not_bring_it_back(world):
    world.with_queue()
    world.put("a", b"1")
    world.put("a", b"22")
    assert world.receive() == 1, "what is there counts, not what the message says"
    with world.database.connect() as connection:
        assert connection.execute(select(landing_object.c.size)).scalars().all() == [2]


def test_a_message_that_is_no_event_goes_to_the_dead_letters(world, caplog):
    world.with_queue()
    with caplog.at_level(logging.ERROR, "slipway.landing"):
        world.send('{"hello": "world"}')
        world.put("a")
        assert world.receive() == 1
    assert world.depth(world.queues.queue) == 0
    assert world.depth(world.queues.dead_letters) == 1
    assert world.queues.dead_letters in caplog.text
    assert "hello" in caplog.text


def test_a_message_stays_when_s3_fails(world):
    """Upsert first, then delete: what could not be recorded comes again."""
    world.with_queue()
    world.put("a")
    dead = s3_client(
        settings_of(world.platform, "default", {**world.env, "SLIPWAY_S3_ENDPOINT": "http://127.0.0.1:1"}),
        attempts=1,
    )
    messages = intake.receive(world.sqs, world.queues, 5)
    wanted = [message for message in messages if "Records" in message.body]
    assert wanted
    taken = intake.take_in(world.database, dead, world.sqs, world.queues, {"inbox": world.landing}, wanted)
    assert taken.new == 0
    assert isinstance(taken.failed["inbox"], EndpointConnectionError)
    assert world.depth(world.queues.queue) >= 1


def test_a_landing_that_another_process_takes_in_keeps_its_message(world):
    world.with_queue()
    world.put("a")
    with world.database.connect() as other, ledger.intake_lock(other, "inbox"):
        assert world.receive() == 0
        assert world.list() is None
    assert world.depth(world.queues.queue) >= 1
    assert world.known() == {}


def test_the_listing_finds_what_no_event_told_of(world):
    for key in HOSTILE:
        world.put(key)
    world.put("folder/", b"")
    progress = world.list()
    assert progress == intake.Progress(objects=len(HOSTILE) + 1, new=len(HOSTILE), complete=True)
    assert set(world.known()) == set(HOSTILE), "the console's folder is no file"
    again = world.list()
    assert again is not None
    assert again.new == 0


def test_the_listing_goes_on_where_its_time_ended(world):
    """More than a page, a slice at a time; keys that sort before the cursor are found by the next pass."""
    for number in range(1005):
        world.put(f"m{number:05}é")
    first = world.list(budget=0)
    assert first == intake.Progress(objects=1000, new=1000, complete=False)
    with world.database.connect() as connection:
        assert connection.execute(select(landing_listing.c.after)).scalar() == "m00999é"
    world.put("a-before-the-cursor")
    second = world.list(budget=0)
    assert second == intake.Progress(objects=1005, new=5, complete=True)
    third = world.list()
    assert third is not None
    assert third.new == 1


def test_only_the_prefix_is_listed(world):
    world.landing = world.landing.model_copy(update={"prefix": "orders/"})
    world.put("orders/a")
    world.put("orders-old/a")
    world.list()
    assert set(world.known()) == {"orders/a"}


def test_overwrites_are_found_by_the_listing(world):
    world.put("a", b"1")
    world.list()
    world.put("a", b"2")
    progress = world.list()
    assert progress is not None
    assert progress.new == 1
    assert world.known() == {"a": "new"}


@pytest.mark.parametrize("way", ["events", "listing"])
def test_a_bucket_with_versions_is_recorded_by_version_id(world, way):
    world.s3.put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration={"Status": "Enabled"})
    if way == "events":
        world.with_queue()
    world.put("a", b"1")
    take_in: Callable[[], object] = world.receive if way == "events" else world.list
    take_in()
    current = world.s3.head_object(Bucket=world.bucket, Key="a")["VersionId"]
    with world.database.connect() as connection:
        assert connection.execute(select(landing_object.c.version, landing_object.c.version_id)).all() == [
            (current, current)
        ]
    world.list()
    assert len(world.known()) == 1


def test_what_is_no_event_holds_up_no_message_beside_it(world):
    """Bodies that would break a reader, or the dead letter's attribute, or the question to S3."""
    world.with_queue()
    hostile = [
        "[" * 100_000,
        '{"\\u0001\\ud800": 1}',
        created(world.bucket, ""),
        created(world.bucket, "k" * 1025),
    ]
    for body in [*hostile, created(world.bucket, "half%ED%A0%80pair")]:
        world.send(body)
    world.put("a")
    world.receive()
    assert world.known() == {"a": "new"}
    assert world.depth(world.queues.queue) == 0
    assert world.depth(world.queues.dead_letters) == len(hostile)


@pytest.mark.parametrize("way", ["SNS", "SNS, raw", "EventBridge"])
def test_events_that_come_another_way(world, way):
    """As the services themselves wrap them, with a key that each writes differently."""
    world.with_queue()
    world.s3.put_bucket_notification_configuration(Bucket=world.bucket, NotificationConfiguration={})
    arn = world.sqs.get_queue_attributes(QueueUrl=world.queues.queue, AttributeNames=["QueueArn"])
    queue_arn = arn["Attributes"]["QueueArn"]
    if way == "EventBridge":
        events = world.client("events")
        rule = f"rule-{world.name}"
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [world.bucket]}}}
        events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=rule, Targets=[{"Id": "slipway", "Arn": queue_arn}])
        configuration = {"EventBridgeConfiguration": {}}
    else:
        sns = world.client("sns")
        topic = sns.create_topic(Name=world.name)["TopicArn"]
        raw = {"Attributes": {"RawMessageDelivery": "true"}} if "raw" in way else {}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, **raw)
        configuration = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    world.s3.put_bucket_notification_configuration(
        Bucket=world.bucket, NotificationConfiguration=configuration
    )
    world.put("a b+c é.csv")
    assert world.receive() == 1
    assert world.known() == {"a b+c é.csv": "new"}
    assert world.depth(world.queues.dead_letters) == 0


def test_others_that_may_write_to_the_queue_stay_so(world):
    """As SNS and EventBridge need it."""
    world.with_queue()
    allowed = {
        "Sid": "topic",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
    }

    def policy() -> dict:
        found = world.sqs.get_queue_attributes(QueueUrl=world.queues.queue, AttributeNames=["Policy"])
        return json.loads(found["Attributes"]["Policy"])

    ours = policy()["Statement"]
    changed = {"Version": "2012-10-17", "Statement": [allowed, *ours]}
    world.sqs.set_queue_attributes(QueueUrl=world.queues.queue, Attributes={"Policy": json.dumps(changed)})
    world.with_queue()
    assert policy()["Statement"] == [allowed, *ours]


def test_queues_that_are_as_they_should_be_are_only_read(world):
    """Rights to make and change are then not needed, and a turn that looks again costs little."""
    world.with_queue()
    calls: list[str] = []
    for client in (world.s3, world.sqs):
        client.meta.events.register("before-call", lambda model, **_: calls.append(model.name))
    world.with_queue()
    assert {call for call in calls if not call.startswith("Get")} == set()


def test_a_full_list_of_empty_pages_is_followed_to_its_end(world, monkeypatch):
    """Some makes of S3 give pages without objects in between."""
    world.put("z")
    real = world.s3.list_objects_v2
    monkeypatch.setattr(
        world.s3,
        "list_objects_v2",
        lambda **asked: (
            real(Bucket=asked["Bucket"], Prefix=asked["Prefix"])
            if "ContinuationToken" in asked
            else {"IsTruncated": True, "NextContinuationToken": "t", "KeyCount": 0}
        ),
    )
    assert world.list() == intake.Progress(objects=1, new=1, complete=True)


def test_a_listing_is_due_by_the_databases_clock(world):
    """The daemon's own clock may be hours off."""
    world.list()
    with world.database.begin() as connection:
        left = intake.seconds_to_next_pass(connection, "inbox", 60)
        assert 50 < left <= 60
        assert intake.seconds_to_next_pass(connection, "never", 60) == 0
        connection.execute(
            landing_listing.update().values(started_at=landing_listing.c.started_at - text("interval '1 h'"))
        )
        assert 3500 < intake.seconds_to_next_pass(connection, "inbox", 60) < 3700, "a long pass, a long pause"
        connection.execute(landing_listing.update().values(finished_at=None))
        assert intake.seconds_to_next_pass(connection, "inbox", 60) == 0


def test_a_thousand_keys_that_were_told_of_ten_times(world, caplog):
    world.put("there")
    began = time.monotonic()
    hints = [Hint(world.bucket, f"gone-{number}") for number in range(1000)] * 10
    with caplog.at_level(logging.WARNING):
        assert [seen.key for seen in intake.heads(world.s3, [*hints, Hint(world.bucket, "there")])] == [
            "there"
        ]
    assert time.monotonic() - began < 60


# The watch: all of it, turn by turn


@pytest.fixture
def watched(world) -> World:
    with world.database.begin() as connection:
        identity.create(connection, world.s3, world.platform)
    return world


def turn(watch: Watch) -> None:
    watch.turn(lambda seconds: None)


def until(watch: Watch, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        turn(watch)


def test_the_watch_makes_its_queue_and_takes_in(watched):
    watched.put("before")
    watch = Watch(watched.platform, watched.env, watched.database)
    turn(watch)
    assert set(watched.known()) == {"before"}
    watched.put("after")
    until(watch, lambda: "after" in watched.known())


def test_the_watch_makes_a_queue_that_is_gone_again(watched, caplog):
    watch = Watch(watched.platform, watched.env, watched.database)
    turn(watch)
    with watched.database.connect() as connection:
        found = queues.find(watched.sqs, queues.queue_name(identity.recorded(connection)))
    watched.sqs.delete_queue(QueueUrl=found.queue)
    with caplog.at_level(logging.WARNING, "slipway.landing"):
        until(watch, lambda: "is gone" in caplog.text)
    turn(watch)
    watched.put("after")
    until(watch, lambda: "after" in watched.known())


def test_everything_stands_still_on_another_storage(watched, caplog):
    """An emptied bucket halts intake and claims, loudly, and the right storage sets them going again."""
    key = identity.object_key(watched.platform)
    body = watched.s3.get_object(Bucket=watched.platform.lake.bucket, Key=key)["Body"].read()
    watched.s3.delete_object(Bucket=watched.platform.lake.bucket, Key=key)
    watched.put("a")
    watch = Watch(watched.platform, watched.env, watched.database)
    with caplog.at_level(logging.ERROR, "slipway.landing"):
        turn(watch)
        turn(watch)
    assert watched.known() == {}
    assert caplog.text.count("this is not the storage") == 1, "said once, not each turn"
    assert "slipway storage reset" in caplog.text
    with watched.database.connect() as connection:
        assert "this is not the storage" in (ledger.halted(connection) or "")

    watched.s3.put_object(Bucket=watched.platform.lake.bucket, Key=key, Body=body)
    until(watch, lambda: "a" in watched.known())
    with watched.database.connect() as connection:
        assert ledger.halted(connection) is None


def test_a_storage_that_is_away_is_waited_for(watched, caplog):
    env = {**watched.env, "SLIPWAY_S3_ENDPOINT": "http://127.0.0.1:1"}
    watch = Watch(watched.platform, env, watched.database)
    waits: list[float] = []
    with caplog.at_level(logging.ERROR, "slipway.landing"):
        watch.turn(waits.append)
        watch.turn(waits.append)
    assert len(waits) == 2
    assert caplog.text.count("is tried again") == 1
    with watched.database.connect() as connection:
        assert ledger.halted(connection) is None, "away is not lost: what is claimed may go on"
