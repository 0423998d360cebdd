"""The watch over all landings of a platform: who does what next, and when everything must stand still."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import sqlalchemy.exc
from botocore.exceptions import BotoCoreError, ClientError

from slipway import aws, identity
from slipway.config.connections import s3_settings
from slipway.landing import intake, ledger, queues

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from sqlalchemy import Engine

    from slipway.config.model import Landing, Platform

logger = logging.getLogger("slipway.landing")

LONG_POLL_SECONDS = 5
RECEIVES_PER_TURN = 10

READ_TIMEOUT_SECONDS = 10.0
"""How long S3 may stay silent; a request is sent twice at most, and the daemon does not end before it is over."""

LISTING_SECONDS = 5.0
"""Time that a turn spends on listing one landing."""

LIST_EVERY_SECONDS = {"events": 60.0, "list": 5.0}
"""Pause between listings by a landing's mode. Beside events the listing only finds what they missed."""

VERIFY_EVERY_SECONDS = 5.0
"""How old the knowledge may be that the storage is the right one."""

LONGEST_PAUSE_SECONDS = 30.0
"""What fails is tried again after 1, 2, 4 … seconds, at most so many: others do not wait for its timeouts each turn."""

MOST_BYTES_PER_TURN = 200_000
"""Of messages. Each names objects that S3 is asked for while the messages are hidden from others."""

EXPECTED = (
    ClientError,
    BotoCoreError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.InternalError,  # a server that became a replica only reads
    identity.StorageUnreachable,
)
"""What goes wrong when a service is away; everything else is a bug."""


@dataclass
class Source:
    """A storage's queue, and the landings that write to it."""

    storage_ref: str
    sqs: SQSClient
    landings: Mapping[str, Landing]
    queues: queues.Queues | None = None


@dataclass
class Pause:
    """How long something that failed is left alone."""

    seconds: float
    until: float


@dataclass
class Watch:
    """Takes in what arrives, turn by turn, as long as the storage is the one that the ledger describes."""

    platform: Platform
    env: Mapping[str, str]
    database: Engine
    arrived: Callable[[], object] = lambda: None
    """Called when there are new objects in the ledger."""
    _clients: dict[str, S3Client] = field(default_factory=dict)
    _sources: list[Source] = field(default_factory=list)
    _verified_at: float | None = None
    _listed: set[str] = field(default_factory=set)
    _troubles: dict[str, str] = field(default_factory=dict)
    _pauses: dict[str, Pause] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the clients of the queues; nothing is asked of them yet."""
        for storage_ref, landings in queues.by_storage(self.platform).items():
            settings = s3_settings(self.platform, storage_ref, self.env)
            client = aws.sqs_client(
                settings, read_timeout=LONG_POLL_SECONDS + READ_TIMEOUT_SECONDS, attempts=1
            )
            self._sources.append(Source(storage_ref, client, landings))

    def turn(self, wait: Callable[[float], object]) -> None:
        """Do what is due; with nothing due, wait a few seconds for events.

        `wait` is called with seconds where there is no queue to wait at, and may return early.
        """
        if not self._guarded("storage", self._verify):
            wait(2.0)
            return
        self._guarded("ledger", partial(self._work, wait))

    def _work(self, wait: Callable[[float], object]) -> bool:
        pause = min(LONG_POLL_SECONDS, self._until_listing())
        polled = [
            self._patiently(f"queue of {source.storage_ref}", partial(self._events, source, pause))
            for source in self._sources
        ]
        if not any(polled):
            wait(max(pause, 0.5))
        for name, landing in self.platform.landing.items():
            self._patiently(f"listing of {name}", partial(self._list, name, landing))
        return True

    def _patiently(self, what: str, work: Callable[[], bool]) -> bool:
        """Guarded work, left alone for a while after it failed."""
        before = self._pauses.get(what)
        if before is not None and monotonic() < before.until:
            return False
        result = self._guarded(what, work)
        if what in self._troubles:
            seconds = min(2 * before.seconds, LONGEST_PAUSE_SECONDS) if before else 1.0
            self._pauses[what] = Pause(seconds, monotonic() + seconds)
        else:
            self._pauses.pop(what, None)
        return result

    def _guarded(self, what: str, work: Callable[[], bool]) -> bool:
        """Do a piece of work; what fails is said once. A service that was away may come back as another one."""
        try:
            result = work()
        except EXPECTED as error:
            if _is_away(error):
                self._verified_at = None
            self._trouble(what, said(error))
            return False
        if result:
            self._trouble(what, None)
        return result

    def _trouble(self, what: str, error: str | None) -> None:
        before = self._troubles.get(what)
        if error is None:
            if self._troubles.pop(what, None):
                logger.info("Landings: the %s is well again", what)
        elif error != before:
            self._troubles[what] = error
            logger.error("Landings: the %s fails, and is tried again: %s", what, error)

    # The storage

    def _s3(self, storage_ref: str) -> S3Client:
        if storage_ref not in self._clients:
            settings = s3_settings(self.platform, storage_ref, self.env)
            self._clients[storage_ref] = aws.s3_client(
                settings, read_timeout=READ_TIMEOUT_SECONDS, attempts=2, connections=intake.HEADS_AT_ONCE
            )
        return self._clients[storage_ref]

    def _verify(self) -> bool:
        """Whether this is the storage that the ledger describes; if not, nothing more is claimed by anyone."""
        if self._verified_at is not None and monotonic() - self._verified_at < VERIFY_EVERY_SECONDS:
            return True
        s3 = self._s3(self.platform.lake.storage_ref)
        with self.database.connect() as connection:
            expected = identity.recorded(connection)
        try:
            if expected is None:
                raise identity.StorageLost("the database knows of no storage", "run `slipway bootstrap`")
            identity.compare(expected, identity.stored(s3, self.platform), self.platform)
        except identity.StorageLost as lost:
            self._verified_at = None
            self._halt(str(lost))
            return False
        intake.adopt_restored(
            self.database, s3, self.platform.lake.bucket, identity.restored_key(self.platform)
        )
        if self._verified_at is None:
            # A storage that was away may come back without its queues.
            for source in self._sources:
                source.queues = None
            self._halt(None)
        self._verified_at = monotonic()
        return True

    def _halt(self, reason: str | None) -> None:
        with self.database.begin() as connection:
            ledger.halt(connection, reason)
        self._trouble("storage", reason)

    # Events

    def _events(self, source: Source, pause: float) -> bool:
        s3 = self._s3(source.storage_ref)
        if source.queues is None:
            source.queues = self._ensure(source, s3)
        try:
            messages = intake.receive(source.sqs, source.queues, max(1, int(pause / len(self._sources))))
            for _ in range(RECEIVES_PER_TURN - 1):
                if len(messages) % 10 or sum(len(item.body) for item in messages) > MOST_BYTES_PER_TURN:
                    break
                more = intake.receive(source.sqs, source.queues, 0) if messages else []
                if not more:
                    break
                messages += more
        except ClientError as error:
            if not queues.is_missing(error):
                raise
            logger.warning("Landings: the queue of %s is gone, and is made again", source.storage_ref)
            source.queues = None
            return False
        if messages:
            taken = intake.take_in(self.database, s3, source.sqs, source.queues, source.landings, messages)
            logger.info("Landings: %d messages, %d new objects", len(messages), taken.new)
            if taken.new:
                self.arrived()
            for name in source.landings:
                failed = taken.failed.get(name)
                self._trouble(f"reading of {name}", None if failed is None else said(failed))
        return True

    def _ensure(self, source: Source, s3: S3Client) -> queues.Queues:
        with self.database.connect() as connection:
            name = queues.queue_name(identity.recorded(connection) or "")
        made = queues.ensure(s3, source.sqs, name, source.landings.values())
        for bucket in {landing.bucket for landing in source.landings.values()}:
            refusal = made.refused.get(bucket)
            self._trouble(
                f"notification of {bucket}",
                None if refusal is None else queues.unheard(bucket, made.arn, refusal),
            )
        return made.queues

    # Listing

    def _until_listing(self) -> float:
        """Seconds until a landing is to be listed."""
        with self.database.connect() as connection:
            return min(
                (self._due_in(connection, name) for name in self.platform.landing), default=LONG_POLL_SECONDS
            )

    def _due_in(self, connection: sqlalchemy.Connection, name: str) -> float:
        if name not in self._listed:
            return 0.0
        every = LIST_EVERY_SECONDS[self.platform.landing[name].mode]
        return intake.seconds_to_next_pass(connection, name, every)

    def _list(self, name: str, landing: Landing) -> bool:
        with self.database.connect() as connection:
            if self._due_in(connection, name) > 0:
                return True
        progress = intake.reconcile(
            self.database, self._s3(landing.storage_ref), name, landing, LISTING_SECONDS
        )
        if progress is not None:
            self._listed.add(name)
            if progress.new:
                self.arrived()
                logger.info(
                    "Landings: the listing of %s found %d objects that no event told of", name, progress.new
                )
        return True


def said(error: BaseException) -> str:
    """An error in one line for the log."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _is_away(error: BaseException) -> bool:
    """Whether a service did not answer, rather than refuse."""
    if isinstance(error, ClientError):
        status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500
    return True
