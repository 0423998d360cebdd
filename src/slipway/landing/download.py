"""Fetching exactly the version of an object that was claimed, under a name that is safe on disk."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from slipway.landing.ledger import ClaimedObject

CHUNK_BYTES = 1 << 20
LONGEST_NAME = 100
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LandingUnavailable(Exception):
    """The landing cannot be read now; no file of the batch is to blame."""


class LandingDenied(LandingUnavailable):
    """S3 refuses to give the object: its own rights or key, or the rights to the whole landing."""


class Vanished(Exception):
    """The claimed version is not there any more."""


class Unreadable(Exception):
    """The object is there, and cannot be read as it is."""


def local_name(number: int, key: str) -> str:
    """A file name for a key: its last part, with its suffixes, and without anything that means something.

    Keys are strangers' input: quotes, `..`, globs, newlines and SQL must not reach a path or a statement.
    """
    last = re.sub(r"[^A-Za-z0-9._-]", "_", key.rsplit("/", 1)[-1])[-LONGEST_NAME:].lstrip(".-")
    return f"{number:05d}-{last or 'object'}"


def fetch(s3: S3Client, item: ClaimedObject, target: Path) -> None:
    """Write the claimed version of an object to target.

    Raises:
        Vanished: that version is deleted or overwritten.
        Unreadable: it is archived.
        LandingUnavailable: S3 does not give it; LandingDenied when it refuses.
        OSError: the scratch is full.
    """
    which: dict[str, Any] = (
        {"VersionId": item.version_id} if item.version_id else {"IfMatch": f'"{item.etag}"'}
    )
    try:
        answer = s3.get_object(Bucket=item.bucket, Key=item.key, **which)
        with target.open("wb") as file:
            for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                file.write(chunk)
    except ClientError as error:
        raise _meaning(error, item) from error
    except (BotoCoreError, ConnectionError) as error:
        raise LandingUnavailable(f"cannot read s3://{item.bucket}/{item.key}: {error}") from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(
            error.errno,
            f"the run's scratch {target.parent} has no room for s3://{item.bucket}/{item.key} ({item.size} bytes) beside "
            "the other files of its batch; give the run a profile with more ephemeral-storage, or landing_sensor a "
            "smaller max_bytes",
        ) from error
    if (size := target.stat().st_size) != item.size:
        raise LandingUnavailable(f"s3://{item.bucket}/{item.key} came with {size} of {item.size} bytes")


def _meaning(error: ClientError, item: ClaimedObject) -> Exception:
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 412:
        return Vanished("it was overwritten before it was read")
    if code in ("NoSuchKey", "NoSuchVersion", "404") or (status == 405 and item.version_id):
        return Vanished("it was deleted before it was read")
    if code == "InvalidObjectState":
        return Unreadable(f"it is archived, and must be restored before it can be read: {error}")
    kind = LandingDenied if status == 403 or code.startswith("KMS.") else LandingUnavailable
    return kind(f"cannot read s3://{item.bucket}/{item.key}: {error}")
