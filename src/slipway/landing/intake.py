"""The two ways into the ledger, both idempotent: event messages, and a listing that goes on where it stopped.

Either only finds keys; what is recorded is what S3 then shows as current, under the ledger's intake lock, so that
the order in which versions are recorded is the order in which they were current.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from slipway.database.tables import landing_listing as listing
from slipway.landing import ledger
from slipway.landing.events import Hint, UnknownMessage, hints
from slipway.landing.objects import Seen, is_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from slipway.config.model import Landing
    from slipway.landing.queues import Queues

logger = logging.getLogger("slipway.landing")

HEADS_AT_ONCE = 16


@dataclass(frozen=True)
class Message:
    """A queue's message while it is ours."""

    body: str
    receipt: str


def head(s3: S3Client, bucket: str, key: str) -> Seen | None:
    """The current version of an object; None when there is none any more."""
    try:
        answer = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return Seen(
        bucket, key, answer["ETag"].strip('"'), answer["ContentLength"], _version_id(answer.get("VersionId"))
    )


def _version_id(value: str | None) -> str | None:
    """S3 writes `null` for versions from before a bucket had versions."""
    return None if value in (None, "null") else value


def heads(s3: S3Client, keys: Iterable[Hint]) -> list[Seen]:
    """The current versions of many objects, without those that are gone."""
    wanted = sorted({(hint.bucket, hint.key) for hint in keys})
    with ThreadPoolExecutor(HEADS_AT_ONCE, thread_name_prefix="landing-head") as pool:
        found = pool.map(lambda item: head(s3, *item), wanted)
        return [seen for seen in found if seen is not None and is_file(seen.key, seen.size)]


# Events


def receive(sqs: SQSClient, queues: Queues, wait_seconds: int) -> list[Message]:
    """The messages that are there, or that come within the wait."""
    answer = sqs.receive_message(QueueUrl=queues.queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait_seconds)
    return [Message(message["Body"], message["ReceiptHandle"]) for message in answer.get("Messages", [])]


@dataclass(frozen=True)
class Taken:
    """What came of messages."""

    new: int
    failed: Mapping[str, Exception]
    """Landings whose S3 did not answer or refused; their messages stay in the queue."""


def take_in(
    engine: Engine,
    s3: S3Client,
    sqs: SQSClient,
    queues: Queues,
    landings: Mapping[str, Landing],
    messages: Sequence[Message],
) -> Taken:
    """Record what the messages speak of, then delete them.

    A message that says nothing known goes to the dead-letter queue. One for a landing that another process takes in
    just now stays in the queue, and so does one for a landing that cannot be read.
    """
    understood: list[tuple[Message, list[Hint]]] = []
    for message in messages:
        try:
            understood.append((message, hints(message.body)))
        except UnknownMessage as error:
            _to_dead_letters(sqs, queues, message, error)
    new = 0
    busy: set[str] = set()
    failed: dict[str, Exception] = {}
    for name, landing in landings.items():
        wanted = [hint for _, found in understood for hint in found if _belongs(hint, landing)]
        if not wanted:
            continue
        with engine.connect() as connection, ledger.intake_lock(connection, name) as mine:
            if not mine:
                busy.add(name)
                continue
            try:
                found_now = heads(s3, wanted)
            except (ClientError, BotoCoreError) as error:
                failed[name] = error
                continue
            new += ledger.observe(connection, name, found_now)
            connection.commit()
    kept = [landings[name] for name in (*busy, *failed)]
    done = [
        message
        for message, found in understood
        if not any(_belongs(hint, landing) for hint in found for landing in kept)
    ]
    _delete(sqs, queues, done)
    return Taken(new, failed)


def _delete(sqs: SQSClient, queues: Queues, messages: Sequence[Message]) -> None:
    """What cannot be deleted comes again, which is harmless."""
    for start in range(0, len(messages), 10):
        sqs.delete_message_batch(
            QueueUrl=queues.queue,
            Entries=[
                {"Id": str(number), "ReceiptHandle": message.receipt}
                for number, message in enumerate(messages[start : start + 10])
            ],
        )


def _belongs(hint: Hint, landing: Landing) -> bool:
    return hint.bucket == landing.bucket and hint.key.startswith(landing.prefix)


def _to_dead_letters(sqs: SQSClient, queues: Queues, message: Message, error: UnknownMessage) -> None:
    logger.error(
        "A message that is no S3 event goes to the dead-letter queue %s (%s): %.200r",
        queues.dead_letters,
        error,
        message.body,
    )
    sqs.send_message(
        QueueUrl=queues.dead_letters,
        MessageBody=message.body,
        MessageAttributes={"slipway_error": {"DataType": "String", "StringValue": str(error)[:200]}},
    )
    sqs.delete_message(QueueUrl=queues.queue, ReceiptHandle=message.receipt)


# Listing


@dataclass(frozen=True)
class Progress:
    """How far a listing pass came."""

    objects: int
    new: int
    complete: bool


def seconds_to_next_pass(connection: Connection, name: str, interval_seconds: float) -> float:
    """How long until the landing is to be listed (again), by the database's clock; 0 for at once.

    A pass that took long is followed by as long a pause, so that a large bucket is not listed all the time.
    """
    took = listing.c.finished_at - listing.c.started_at
    pause = func.greatest(took, func.make_interval(0, 0, 0, 0, 0, 0, interval_seconds))
    left = func.extract("epoch", listing.c.finished_at + pause - func.clock_timestamp())
    seconds = connection.execute(select(left).where(listing.c.landing == name)).scalar()
    return 0.0 if seconds is None else max(0.0, float(seconds))


def reconcile(
    engine: Engine, s3: S3Client, name: str, landing: Landing, budget_seconds: float
) -> Progress | None:
    """List the landing from where the last call stopped, for about so long, and record what is new.

    None when another process takes the landing in just now.
    """
    until = monotonic() + budget_seconds
    with engine.connect() as connection, ledger.intake_lock(connection, name) as mine:
        if not mine:
            return None
        versions = _has_versions(s3, landing.bucket)
        after, objects = _resume(connection, name)
        new = 0
        while True:
            page = _page(s3, landing, after)
            found = _listed(page, landing.bucket)
            if versions:
                fresh = ledger.known(connection, name, landing.bucket, [seen.key for seen in found])
                found = heads(s3, [Hint(seen.bucket, seen.key) for seen in found if _differs(seen, fresh)])
            new += ledger.observe(connection, name, found)
            objects += len(page.get("Contents", []))
            after = page["Contents"][-1]["Key"] if page["IsTruncated"] else None
            _remember(connection, name, after, objects)
            connection.commit()
            if after is None or monotonic() >= until:
                return Progress(objects, new, complete=after is None)


def _differs(seen: Seen, known: Mapping[str, Any]) -> bool:
    """Whether a listed object may be another version than the newest known; a listing has no version ids."""
    latest = known.get(seen.key)
    return (
        latest is None or (latest.etag, latest.size) != (seen.etag, seen.size) or latest.state == "superseded"
    )


def _has_versions(s3: S3Client, bucket: str) -> bool:
    return "Status" in s3.get_bucket_versioning(Bucket=bucket)


def _page(s3: S3Client, landing: Landing, after: str | None) -> Mapping[str, Any]:
    """The page after a key. A key never expires, as S3's own continuation tokens do, and outlives an emulator."""
    where: dict[str, str] = {} if after is None else {"StartAfter": after}
    while True:
        page = s3.list_objects_v2(Bucket=landing.bucket, Prefix=landing.prefix, **where)  # type: ignore[arg-type]
        if page.get("Contents") or not page["IsTruncated"]:
            return page
        # Some makes of S3 give empty pages where many objects were deleted.
        where = {"ContinuationToken": page["NextContinuationToken"]}


def _listed(page: Mapping[str, Any], bucket: str) -> list[Seen]:
    return [
        Seen(bucket, item["Key"], item["ETag"].strip('"'), item["Size"])
        for item in page.get("Contents", [])
        if is_file(item["Key"], item["Size"])
    ]


def _resume(connection: Connection, name: str) -> tuple[str | None, int]:
    row = connection.execute(
        select(listing.c.after, listing.c.objects, listing.c.finished_at).where(listing.c.landing == name)
    ).one_or_none()
    if row is not None and row.finished_at is None:
        return row.after, row.objects
    begin = insert(listing).values(landing=name, after=None, objects=0, started_at=func.clock_timestamp())
    connection.execute(
        begin.on_conflict_do_update(
            index_elements=[listing.c.landing],
            set_={"after": None, "objects": 0, "started_at": func.clock_timestamp(), "finished_at": None},
        )
    )
    return None, 0


def _remember(connection: Connection, name: str, after: str | None, objects: int) -> None:
    connection.execute(
        listing.update()
        .where(listing.c.landing == name)
        .values(after=after, objects=objects, finished_at=None if after else func.clock_timestamp())
    )


# Restored storage


def adopt_restored(engine: Engine, s3: S3Client, bucket: str, key: str) -> int:
    """If storage was restored from a copy, let the ledger know its objects under their new names; how many.

    The list of what changed is an object of its own, and deleted when it is in the ledger.
    """
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return 0
        raise
    with engine.begin() as connection:
        count = ledger.adopt(connection, json.loads(body)["objects"])
    s3.delete_object(Bucket=bucket, Key=key)
    logger.info(
        "Storage was restored from a copy; the ledger knows %d of its objects by their new versions", count
    )
    return count
