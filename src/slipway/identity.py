"""The identity of the storage: a name that database and bucket share.

Catalogue and ledger describe objects in S3. When the bucket is emptied, replaced or exchanged behind them, every
read would fail or, worse, half work. So the database and the lake's bucket hold the same random id, and whoever
writes compares them first.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from botocore.exceptions import BotoCoreError, ClientError

from slipway import aws
from slipway.config.connections import postgres_url, s3_settings
from slipway.config.errors import UserError
from slipway.database.engine import engine
from slipway.database.tables import storage_identity

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from slipway.config.model import Platform

WAY_OUT = (
    "bring the storage back (restore it, or correct lake.bucket, lake.prefix and storage in platform.yaml); or give "
    "up what the catalogue describes: `slipway storage reset --yes` and `slipway bootstrap` begin with an empty lake "
    "and take in again every file that is in the landings (docs/storage-lost.md)"
)


class StorageLost(UserError):
    """The storage is not the one that the lake's catalogue and the ledger describe."""


class StorageUnreachable(UserError):
    """The storage does not answer, so that nobody knows which one it is."""


def object_key(platform: Platform) -> str:
    """Where the bucket's side of the identity is."""
    return f"{platform.lake.prefix}_slipway/identity"


def restored_key(platform: Platform) -> str:
    """Where a restore of the storage leaves word of objects that have other versions now."""
    return f"{platform.lake.prefix}_slipway/restored.json"


def check(platform: Platform, env: Mapping[str, str] = os.environ) -> None:
    """Compare the database's identity with the bucket's.

    Raises StorageLost when they differ or one is missing, StorageUnreachable when S3 does not answer.
    """
    with engine(postgres_url(platform, env)).connect() as connection:
        expected = recorded(connection)
    if expected is None:
        raise StorageLost("the database knows of no storage", "run `slipway bootstrap` first")
    settings = s3_settings(platform, platform.lake.storage_ref, env)
    compare(expected, stored(aws.s3_client(settings), platform), platform)


def compare(expected: str, found: str | None, platform: Platform) -> None:
    """Raise StorageLost unless the bucket has the expected identity."""
    if found == expected:
        return
    where = f"s3://{platform.lake.bucket}/{object_key(platform)}"
    what = f"{where} is missing" if found is None else f"{where} is {found}, the database expects {expected}"
    raise StorageLost(
        f"this is not the storage that the lake's catalogue and the ledger describe: {what}", WAY_OUT
    )


def recorded(connection: sa.Connection) -> str | None:
    """The database's side; None when there is none, or no table for it."""
    if connection.execute(sa.text("SELECT to_regclass('slipway_ledger.storage_identity')")).scalar() is None:
        return None
    return connection.execute(sa.select(storage_identity.c.id)).scalar()


def stored(s3: S3Client, platform: Platform) -> str | None:
    """The bucket's side; None when the object or the bucket is missing.

    Raises StorageUnreachable when S3 does not answer or refuses.
    """
    try:
        body = s3.get_object(Bucket=platform.lake.bucket, Key=object_key(platform))["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket", "404"):
            return None
        raise _unreachable(platform, error) from error
    except BotoCoreError as error:
        raise _unreachable(platform, error) from error
    try:
        return str(json.loads(body)["id"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def _unreachable(platform: Platform, error: Exception) -> StorageUnreachable:
    return StorageUnreachable(
        f"cannot read s3://{platform.lake.bucket}/{object_key(platform)}: {error}",
        f"check storage.{platform.lake.storage_ref} in platform.yaml, and whether that S3 runs",
    )


def create(connection: sa.Connection, s3: S3Client, platform: Platform) -> str:
    """Give database and bucket a new identity, the bucket first: the database then never knows one alone."""
    identity = str(uuid.uuid4())
    s3.put_object(
        Bucket=platform.lake.bucket,
        Key=object_key(platform),
        Body=json.dumps({"id": identity}).encode(),
        ContentType="application/json",
    )
    connection.execute(sa.delete(storage_identity))
    connection.execute(sa.insert(storage_identity).values(one=1, id=identity, created_at=sa.func.now()))
    return identity
