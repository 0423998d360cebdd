"""The storage keeper: saves the bundled S3 at an orderly stop and restores it at the next start.

LocalStack forgets S3 when it stops. The keeper is stopped before it and started after it. A snapshot is used once:
after a kill there is none, and an old one is never taken for the current state. Whether a store is the one that
the platform's database describes is told by the identity object in the lake's bucket (`slipway.identity`): a store
without it is not worth saving and must not replace a snapshot.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from slipway import identity
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.ops import storage_keeper_snapshot as snapshots
from slipway.ops.storage_keeper_snapshot import Changed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger("slipway.storage_keeper")

UNIDENTIFIED = "unidentified"
CHECK_SECONDS = 10

LOST = (
    "the bundled S3 lost what it held: it was killed, or restarted on its own. "
    "docs/storage-lost.md has the way out"
)


@dataclass(frozen=True)
class LakeObjects:
    """Where the lake's bucket has the platform's notes on the storage."""

    bucket: str
    identity: str
    """Key of the object by which the storage is known."""
    restored: str
    """Key under which a restore leaves word of objects that have other versions now."""


class Keeper:
    """Keeps one store in one folder."""

    def __init__(self, client: S3Client, folder: Path, lake: LakeObjects | None) -> None:
        """Args are the store, the folder for snapshots, and the lake's notes when they are in this store."""
        self._client = client
        self._snapshot = folder / "snapshot"
        self._consumed = folder / "consumed"
        self._lake = lake
        self._known: str | None = None

    def start(self, stopping: Callable[[], bool]) -> None:
        """Restore the snapshot, if there is one that the store has not already.

        Raises:
            UserError: when snapshot and store are of different platforms.
            Interrupted: when `stopping` says so; the snapshot stays.
        """
        snapshot = snapshots.find(self._snapshot)
        self._known = self.identity()
        if snapshot is None:
            log.info("no snapshot; the storage is %s", "empty" if self._known is None else "in use")
            return
        if self._known is None:
            self._restore(snapshot, stopping)
            self._known = self.identity()
        elif self._known != snapshot.identity:
            raise UserError(
                f"the storage in use ({self._known}) is not the one of the snapshot ({snapshot.identity})",
                f"to keep the storage in use, remove {self._snapshot} (docs/compose.md); to go back to the snapshot, "
                "docker compose down and up again",
            )
        else:
            log.info("the storage outlived the keeper; its snapshot is not needed")
        shutil.rmtree(self._consumed, ignore_errors=True)
        self._snapshot.rename(self._consumed)

    def stop(self) -> bool:
        """Save the store; False when there is nothing of the platform in it."""
        found = self.identity()
        if found is None:
            log.error("nothing saved: %s", LOST if self._known else "the platform never used this storage")
            return False
        count = snapshots.save(self._client, self._snapshot, found, self._is_note)
        log.info("saved %d objects", count)
        return True

    def status(self) -> str:
        """ "ok", or what is wrong with the store."""
        try:
            found = self.identity()
        except (BotoCoreError, ClientError) as error:
            return f"the bundled S3 does not answer: {error}"
        if found is None and self._known is not None:
            return LOST
        self._known = found
        return "ok"

    def identity(self) -> str | None:
        """What the store is known by; None for one that the platform does not use yet, or no more."""
        if self._lake is None:
            return UNIDENTIFIED if self._client.list_buckets()["Buckets"] else None
        try:
            answer = self._client.get_object(Bucket=self._lake.bucket, Key=self._lake.identity)
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket", "404"):
                return None
            raise
        return answer["Body"].read().decode()

    def _restore(self, snapshot: snapshots.Snapshot, stopping: Callable[[], bool]) -> None:
        results = list(snapshots.restore(self._client, snapshot, last=self._is_identity, stopping=stopping))
        changed = [result for result in results if result is not None]
        if changed and self._lake is not None:
            note = json.dumps({"objects": [_note(change) for change in changed]}).encode()
            self._client.put_object(Bucket=self._lake.bucket, Key=self._lake.restored, Body=note)
        # The identity makes the store the platform's own: it comes when everything else is there.
        for item in snapshot.objects():
            if self._is_identity(item.bucket, item.key):
                snapshots.put(self._client, snapshot, item)
        log.info("restored %d objects, %d of them with another ETag or version", len(results), len(changed))

    def _is_identity(self, bucket: str, key: str) -> bool:
        return self._lake is not None and (bucket, key) == (self._lake.bucket, self._lake.identity)

    def _is_note(self, bucket: str, key: str) -> bool:
        return self._lake is not None and (bucket, key) == (self._lake.bucket, self._lake.restored)


def run(keeper: Keeper, status_file: Path, stop: Event) -> int:
    """Restore, watch until `stop` is set, save; the exit code."""
    status_file.unlink(missing_ok=True)
    try:
        keeper.start(stop.is_set)
    except snapshots.Interrupted:
        log.warning("stopped in the middle of the restore; the snapshot stays")
        return 1
    said = ""
    while True:
        status = keeper.status()
        if status != said:
            log.log(logging.INFO if status == "ok" else logging.ERROR, "storage: %s", status)
            said = status
        status_file.write_text(status)
        if stop.wait(CHECK_SECONDS):
            return 0 if keeper.stop() else 1


def bundled_ref(platform: Platform) -> str | None:
    """The name, under storage, of the bundled S3; None when the platform uses none."""
    if "default" not in platform.storage:
        return "default"
    return next((name for name, storage in platform.storage.items() if storage.bundled), None)


def lake_in(platform: Platform, ref: str) -> LakeObjects | None:
    """The lake's notes when the lake is in the named storage, or in another name for the bundled one."""
    lake = platform.lake
    storage = platform.storage.get(lake.storage_ref)
    if lake.storage_ref != ref and not (storage is not None and storage.bundled):
        return None
    return LakeObjects(lake.bucket, identity.object_key(platform), identity.restored_key(platform))


def _note(change: Changed) -> dict[str, Any]:
    before = change.before
    return {
        "bucket": before.bucket,
        "key": before.key,
        "old": {"etag": before.etag, "size": before.size, "version_id": before.version_id},
        "new": {"etag": change.etag, "version_id": change.version_id},
    }
