"""Bootstrap's work on S3: buckets, the life of compute logs, and the queues of landings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from slipway import aws
from slipway.config.connections import s3_settings
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.landing import queues
from slipway.ops.storages import Use, is_bundled, uses

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BETWEEN_TRIES_SECONDS = 0.5
LOG_RULE = "slipway-compute-logs"


def storage_client(platform: Platform, storage_ref: str, env: Mapping[str, str]) -> S3Client:
    """A client of a storage by its name in platform.yaml."""
    return aws.s3_client(s3_settings(platform, storage_ref, env))


def wait_for_storage(platform: Platform, env: Mapping[str, str], wait_seconds: float) -> None:
    """Return when every storage in use answers and lets its credentials list our buckets.

    Raises UserError when one does not answer in time, or at once when it refuses.
    """
    deadline = time.monotonic() + wait_seconds
    for use in uses(platform):
        settings = s3_settings(platform, use.storage_ref, env)
        s3 = aws.s3_client(settings, connect_timeout=3, read_timeout=5, attempts=1)
        while (trouble := _trouble(s3, use)) is not None:
            if time.monotonic() >= deadline:
                address = settings.endpoint or f"AWS ({settings.region})"
                raise UserError(
                    f"S3 at {address} does not answer: {trouble}", _where_it_is(platform, use.storage_ref)
                )
            time.sleep(BETWEEN_TRIES_SECONDS)


def _trouble(s3: S3Client, use: Use) -> str | None:
    """Why a storage cannot be used yet; raises UserError when waiting does not help."""
    try:
        s3.list_objects_v2(Bucket=use.bucket, MaxKeys=1)
    except NoCredentialsError:
        raise UserError(
            f"storage.{use.storage_ref}: there are no credentials for S3",
            f"give storage.{use.storage_ref}.access_key_id and secret_access_key in platform.yaml, or a role",
        ) from None
    except ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code == "NoSuchBucket":
            return None
        if status >= 500:
            return str(error)
        keys = f"storage.{use.storage_ref}.access_key_id and storage.{use.storage_ref}.secret_access_key"
        if status in (401, 403):
            raise UserError(
                f"S3 refuses the credentials of storage.{use.storage_ref} for the bucket {use.bucket} ({use.key}): "
                f"{code}: {error.response['Error'].get('Message', '')}",
                f"check {keys} in platform.yaml, and what they may do",
            ) from None
        raise UserError(
            f"S3 refuses to list the bucket {use.bucket} ({use.key}): {error}",
            f"check storage.{use.storage_ref} in platform.yaml: endpoint, region and path_style",
        ) from None
    except BotoCoreError as error:
        return str(error)
    return None


def _where_it_is(platform: Platform, storage_ref: str) -> str:
    if is_bundled(platform, storage_ref):
        return "it is the bundled S3, at SLIPWAY_S3_ENDPOINT; look at the log of that service"
    return f"check storage.{storage_ref}.endpoint in platform.yaml, and whether it can be reached from here"


def ensure_buckets(platform: Platform, env: Mapping[str, str]) -> Iterator[str]:
    """Make missing buckets on bundled storage; a line for each.

    Raises UserError that names every missing bucket on external storage.
    """
    missing: list[Use] = []
    for use in uses(platform):
        s3 = storage_client(platform, use.storage_ref, env)
        if exists(s3, use.bucket):
            continue
        if is_bundled(platform, use.storage_ref):
            _create(s3, use.bucket)
            yield f"Made the bucket {use.bucket}"
        else:
            missing.append(use)
    if missing:
        named = ", ".join(f"{use.bucket} ({use.key})" for use in missing)
        raise UserError(
            f"there is no such bucket: {named}",
            "make it, or correct its name in platform.yaml; Slipway makes buckets on the bundled storage only",
        )


def exists(s3: S3Client, bucket: str) -> bool:
    """Whether there is such a bucket, ours to use."""
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def _create(s3: S3Client, bucket: str) -> None:
    region = s3.meta.region_name
    where: dict[str, Any] = (
        {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    try:
        s3.create_bucket(Bucket=bucket, **where)
    except s3.exceptions.BucketAlreadyOwnedByYou:
        return


def ensure_log_retention(platform: Platform, env: Mapping[str, str]) -> Iterator[str]:
    """Let S3 delete compute logs after their days, by a rule for their prefix beside the bucket's other rules."""
    logs = platform.observability.compute_logs
    if not logs.enabled:
        return
    s3 = storage_client(platform, logs.storage_ref, env)
    rule = {
        "ID": LOG_RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": logs.prefix},
        "Expiration": {"Days": logs.retention_days},
    }
    try:
        current = _lifecycle(s3, logs.bucket)
        rules = [item for item in current if item.get("ID") != LOG_RULE]
        if rule not in current:
            s3.put_bucket_lifecycle_configuration(
                Bucket=logs.bucket,
                LifecycleConfiguration={"Rules": [*rules, rule]},  # type: ignore[list-item]
            )
    except ClientError as error:
        yield (
            f"warning: S3 does not let us set how long compute logs live in {logs.bucket}: {error}; "
            f"set a lifecycle rule of {logs.retention_days} days on {logs.prefix} yourself"
        )
    else:
        yield f"Compute logs live {logs.retention_days} days in {logs.bucket}/{logs.prefix}"


def _lifecycle(s3: S3Client, bucket: str) -> list[Any]:
    try:
        return list(s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration":
            return []
        raise


def ensure_queues(platform: Platform, env: Mapping[str, str], identity: str) -> Iterator[str]:
    """Make the queues of landings in mode events, and let their buckets write to them; a line for each storage.

    Raises UserError when the storage has no SQS or refuses.
    """
    for storage_ref, landings in queues.by_storage(platform).items():
        settings = s3_settings(platform, storage_ref, env)
        names = ", ".join(landings)
        try:
            made = queues.ensure(
                aws.s3_client(settings),
                aws.sqs_client(settings),
                queues.queue_name(identity),
                landings.values(),
            )
        except (ClientError, BotoCoreError) as error:
            raise UserError(
                f"cannot make the queue of the landings {names} on storage.{storage_ref}: {error}",
                f"give its credentials the rights to SQS and to bucket notifications, or set "
                f"landing.{next(iter(landings))}.mode: list, which needs neither",
            ) from None
        yield f"Events of {names} go to {made.queues.queue}"
        for bucket, refusal in made.refused.items():
            yield (f"warning: {queues.unheard(bucket, made.arn, refusal)}")
