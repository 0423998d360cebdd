"""What an asset sees of a landing: the files of its run's batch."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from dagster import AssetExecutionContext, ConfigurableResource, InitResourceContext, OpExecutionContext
from pydantic import Field, PrivateAttr
from sqlalchemy import Engine

from slipway import aws, config
from slipway.config.connections import postgres_url, s3_settings
from slipway.config.errors import UserError
from slipway.config.presence import on_platform
from slipway.database.engine import engine
from slipway.landing import ledger
from slipway.landing.download import (
    LandingDenied,
    LandingUnavailable,
    Unreadable,
    Vanished,
    fetch,
    local_name,
)
from slipway.landing.tags import BATCH_TAG, LANDING_TAG

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from slipway.config.model import Platform
    from slipway.landing.ledger import ClaimedObject

logger = logging.getLogger("slipway.landing")

MAX_FILES = 1000
MAX_BYTES = 2 * 1024**3
"""Limits of a batch, unless a sensor sets others. The files must fit the run's scratch beside DuckDB's."""

FETCHES_AT_ONCE = 8

ABORTED = "Current transaction is aborted"
"""What DuckDB says of every statement after the one that failed."""

READ_TIMEOUT_SECONDS = 20.0
"""How long S3 may stay silent; a request is sent three times at most."""


@dataclass(frozen=True)
class LandedFile:
    """One version of an object, and the copy of it on the run's scratch."""

    bucket: str
    key: str
    version: str
    etag: str
    size: int
    path: Path
    id: int
    """The ledger's number of it."""

    @property
    def url(self) -> str:
        """The object's address, as a person writes it."""
        return f"s3://{self.bucket}/{self.key}"


class Batch:
    """Files for one run; without a claim, there is nothing to settle."""

    claim_token: str | None = None

    def __init__(self, files: tuple[LandedFile, ...] = ()) -> None:
        self.files = files

    def quarantine(self, file: LandedFile, error: BaseException | str) -> None:
        """Set a file aside with its error; the batch goes on without it. Its rows must not be written.

        Raises ClaimLost when the batch is not this run's any more, RuntimeError when the error is that of a transaction
        that another file has aborted.
        """
        logger.warning("%s would be quarantined: %s", file.url, _said(error))

    def finish(self) -> None:
        """Note that the batch is processed. `LakeResource.transaction(claim=batch)` does it with its commit;
        call this after a write to anything else, which must be one that can be repeated.

        Raises ClaimLost when the batch is not this run's any more.
        """


class ClaimedBatch(Batch):
    """The files that are this run's alone until it commits, or until its claim is taken back."""

    def __init__(self, files: tuple[LandedFile, ...], claim_token: str, database: Engine) -> None:
        super().__init__(files)
        self.claim_token: str = claim_token
        self._database = database

    def quarantine(self, file: LandedFile, error: BaseException | str) -> None:
        """See Batch."""
        if ABORTED in _said(error):
            raise RuntimeError(
                f"{file.url} cannot be judged: an earlier error has aborted the transaction. Read files outside of it, "
                "with `connection.cursor()`, so that the error of one leaves the others alone"
            ) from (error if isinstance(error, BaseException) else None)
        with self._database.begin() as connection:
            ledger.set_aside(connection, self.claim_token, file.id, "quarantined", _said(error))

    def finish(self) -> None:
        """See Batch."""
        with self._database.begin() as connection:
            ledger.finish(connection, self.claim_token)


def _said(error: BaseException | str) -> str:
    return error if isinstance(error, str) else f"{type(error).__name__}: {error}"


class LandingResource(ConfigurableResource["LandingResource"]):
    """The files that a run was started for."""

    landing: str = Field(description="Name of the landing in platform.yaml.")
    local_folder: str | None = Field(
        default=None,
        description="Folder whose files stand in for the landing where Dagster runs without a platform.",
    )

    _folders: ExitStack = PrivateAttr(default_factory=ExitStack)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[LandingResource]:
        """Dagster's hook around a step: the copies are removed with it."""
        with self._folders:
            yield self

    def batch(self, context: AssetExecutionContext | OpExecutionContext) -> Batch:
        """The files of this run, downloaded, each in exactly the version that was claimed.

        A run that the landing's sensor started has the sensor's batch. A run started by hand claims what waits, up
        to the limits of a batch. The batch is empty when nothing waits, when the run is repeated after its files
        were committed, and for a run of another landing. Objects that were deleted or overwritten meanwhile are left
        out and said. The copies are removed when the step ends. Without a platform the files are those of
        local_folder, all of them each time.

        Raises ClaimLost when the batch was taken back from this run, LandingUnavailable when S3 fails.
        """
        if not on_platform(os.environ):
            return Batch(() if self.local_folder is None else _local(Path(self.local_folder)))
        platform = config.current()
        if self.landing not in platform.landing:
            raise UserError(
                f"platform.yaml has no landing named {self.landing}",
                f"it has: {', '.join(platform.landing) or 'none'}; declare it under landing, or correct the name",
            )
        database = engine(postgres_url(platform))
        token, items = self._claimed(context.run.run_id, context.run.tags, database)
        if token is None or items is None:
            context.log.info("Nothing of the landing %s is left for this run", self.landing)
            return Batch()
        s3 = _client(platform, self.landing)
        scratch = os.environ.get("SLIPWAY_SCRATCH")
        folder = Path(
            self._folders.enter_context(tempfile.TemporaryDirectory(prefix="landing-", dir=scratch))
        )
        fetched = _download(s3, items, folder)
        files = [file for file in fetched if isinstance(file, LandedFile)]
        for left in fetched:
            if isinstance(left, LandedFile):
                continue
            context.log.warning(
                "s3://%s/%s is left out (%s): %s", left.item.bucket, left.item.key, left.state, left.why
            )
            with database.begin() as connection:
                ledger.set_aside(connection, token, left.item.id, left.state, left.why)
        context.log.info("Batch %s of the landing %s: %d files", token, self.landing, len(files))
        return ClaimedBatch(tuple(files), token, database)

    def _claimed(
        self, run_id: str, tags: Mapping[str, str], database: Engine
    ) -> tuple[str | None, list[ClaimedObject] | None]:
        token: str | None = tags.get(BATCH_TAG)
        if token is not None and tags.get(LANDING_TAG) != self.landing:
            return None, None
        with database.begin() as connection:
            if token is None:
                # A step that is tried again goes on with the batch that its run has claimed.
                held = ledger.held_by(connection, run_id)
                token = next((one for one, landing in held if landing == self.landing), None)
            if token is None:
                if reason := ledger.halted(connection):
                    raise LandingUnavailable(reason)
                mine = ledger.claim(
                    connection, self.landing, max_files=MAX_FILES, max_bytes=MAX_BYTES, run_id=run_id
                )
                token = None if mine is None else mine.id
            return token, None if token is None else ledger.open_for(connection, token, run_id)


def _local(folder: Path) -> tuple[LandedFile, ...]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        _local_file(path, path.relative_to(folder).as_posix(), number) for number, path in enumerate(paths)
    )


def _local_file(path: Path, key: str, number: int) -> LandedFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LandedFile("local", key, digest, digest, path.stat().st_size, path, number)


def _client(platform: Platform, landing: str) -> S3Client:
    return aws.s3_client(
        s3_settings(platform, platform.landing[landing].storage_ref), read_timeout=READ_TIMEOUT_SECONDS
    )


@dataclass(frozen=True)
class _Left:
    """An object that its run goes on without."""

    item: ClaimedObject
    state: str
    why: str


def _download(s3: S3Client, items: list[ClaimedObject], folder: Path) -> list[LandedFile | _Left]:
    """Each object as a file, or why not. Raises LandingUnavailable when it is not for the object's own sake."""

    def one(numbered: tuple[int, ClaimedObject]) -> LandedFile | _Left | tuple[ClaimedObject, LandingDenied]:
        number, item = numbered
        path = folder / local_name(number, item.key)
        try:
            fetch(s3, item, path)
        except (Vanished, Unreadable, LandingDenied) as error:
            path.unlink(missing_ok=True)
            if isinstance(error, LandingDenied):
                return item, error
            return _Left(item, "superseded" if isinstance(error, Vanished) else "quarantined", str(error))
        return LandedFile(item.bucket, item.key, item.version, item.etag, item.size, path, item.id)

    with ThreadPoolExecutor(FETCHES_AT_ONCE, thread_name_prefix="landing-fetch") as pool:
        results = list(pool.map(one, enumerate(items, start=1)))
    denied = [result for result in results if isinstance(result, tuple)]
    if denied:
        _check_rights(s3, [file for file in results if isinstance(file, LandedFile)], denied[0][1])
    return [
        _Left(result[0], "quarantined", str(result[1])) if isinstance(result, tuple) else result
        for result in results
    ]


def _check_rights(s3: S3Client, readable: list[LandedFile], denied: LandingDenied) -> None:
    """Raise what denied an object, unless others of its batch can be read all the time: then it is that object's."""
    if not readable:
        raise denied
    try:
        s3.head_object(Bucket=readable[0].bucket, Key=readable[0].key)
    except (BotoCoreError, ClientError):
        raise denied from None
