"""The queue that buckets write their events to: its names, and making what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from slipway.config.model import Landing, Platform

OURS = "slipway-landing-"
"""How the ids of this platform's notifications begin; those of others are left as they are."""

POLICY_SID = "buckets-of-slipway"
"""Our statement in the queue's policy; others are left as they are."""

MOST_RECEIVES = 20
"""After so many fruitless deliveries SQS moves a message to the dead-letter queue; the listing finds its object."""

RETENTION_SECONDS = 14 * 24 * 3600
VISIBILITY_SECONDS = 120


@dataclass(frozen=True)
class Queues:
    """The addresses of a storage's queue and of its dead-letter queue."""

    queue: str
    dead_letters: str


def queue_name(identity: str) -> str:
    """The name of the queue of the platform whose storage has this identity: two platforms never share one."""
    return f"slipway-landing-{identity[:8]}"


def by_storage(platform: Platform) -> dict[str, dict[str, Landing]]:
    """The landings that want events, by the storage they are on."""
    found: dict[str, dict[str, Landing]] = {}
    for name, landing in platform.landing.items():
        if landing.mode == "events":
            found.setdefault(landing.storage_ref, {})[name] = landing
    return found


def find(sqs: SQSClient, name: str) -> Queues | None:
    """The queues of that name, if both are there."""
    try:
        return Queues(
            sqs.get_queue_url(QueueName=name)["QueueUrl"],
            sqs.get_queue_url(QueueName=f"{name}-dead-letters")["QueueUrl"],
        )
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def depth(sqs: SQSClient, url: str) -> int:
    """About how many messages a queue holds, received just now or not."""
    found = sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    )
    return sum(map(int, found["Attributes"].values()))


def is_missing(error: ClientError) -> bool:
    """Whether an error says that there is no such queue."""
    return (
        "NonExistentQueue" in error.response["Error"]["Code"]
        or "QueueDoesNotExist" in error.response["Error"]["Code"]
    )


@dataclass(frozen=True)
class Ensured:
    """The queues, and the buckets that could not be told to write to them."""

    queues: Queues
    arn: str
    refused: Mapping[str, ClientError]


def ensure(s3: S3Client, sqs: SQSClient, name: str, landings: Iterable[Landing]) -> Ensured:
    """Make the queue, its dead-letter queue and the buckets' notifications, or correct what is there.

    What is as it should be is only read. Where S3 refuses a bucket's notifications, by its rights or since the
    bucket's events go elsewhere already, SNS or EventBridge may still send them to the queue.
    """
    wanted = list(landings)
    buckets = sorted({landing.bucket for landing in wanted})
    queues = find(sqs, name)
    if queues is None:
        dead_letters = sqs.create_queue(
            QueueName=f"{name}-dead-letters", Attributes={"MessageRetentionPeriod": str(RETENTION_SECONDS)}
        )["QueueUrl"]
        queues = Queues(sqs.create_queue(QueueName=name)["QueueUrl"], dead_letters)
    arn = _arn(sqs, queues.queue)
    answer = sqs.get_queue_attributes(QueueUrl=queues.queue, AttributeNames=["All"])
    attributes: Mapping[Any, str] = answer["Attributes"]
    right = {
        "MessageRetentionPeriod": str(RETENTION_SECONDS),
        "VisibilityTimeout": str(VISIBILITY_SECONDS),
        "RedrivePolicy": json.dumps(
            {"deadLetterTargetArn": _arn(sqs, queues.dead_letters), "maxReceiveCount": MOST_RECEIVES}
        ),
        "Policy": json.dumps(policy(attributes.get("Policy"), arn, buckets)),
    }
    if any(_parsed(attributes.get(key)) != _parsed(value) for key, value in right.items()):
        sqs.set_queue_attributes(QueueUrl=queues.queue, Attributes=right)  # type: ignore[arg-type]
    refused: dict[str, ClientError] = {}
    for bucket in buckets:
        try:
            _notify(s3, bucket, arn, [landing.prefix for landing in wanted if landing.bucket == bucket])
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                raise
            refused[bucket] = error
    return Ensured(queues, arn, refused)


def unheard(bucket: str, arn: str, error: ClientError) -> str:
    """What it means that a bucket's notifications cannot be set, for the person who can."""
    return (
        f"S3 does not let us send the events of {bucket} to our queue: {error}; without them its files are found by "
        f"listing alone. Give the credentials s3:PutBucketNotification, or let SNS or EventBridge send the events to "
        f"{arn} (docs/landing.md)"
    )


def _parsed(value: str | None) -> Any:
    try:
        return json.loads(value or "null")
    except ValueError:
        return value


def _arn(sqs: SQSClient, queue: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def policy(present: str | None, arn: str, buckets: Sequence[str]) -> Mapping[str, Any]:
    """The queue's policy: our buckets may write to it, and whoever else was let in stays so."""
    before = _parsed(present)
    statements = before.get("Statement", []) if isinstance(before, dict) else []
    if isinstance(statements, dict):
        statements = [statements]
    return {
        "Version": "2012-10-17",
        "Statement": [
            *(item for item in statements if item.get("Sid") != POLICY_SID),
            {
                "Sid": POLICY_SID,
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnLike": {"aws:SourceArn": [f"arn:aws:s3:::{bucket}" for bucket in buckets]}},
            },
        ],
    }


def _notify(s3: S3Client, bucket: str, arn: str, prefixes: Sequence[str]) -> None:
    current: dict[str, Any] = dict(s3.get_bucket_notification_configuration(Bucket=bucket))
    current.pop("ResponseMetadata", None)
    ours = notifications(arn, prefixes)
    others = [
        item for item in current.get("QueueConfigurations", []) if not item.get("Id", "").startswith(OURS)
    ]
    before = [item for item in current.get("QueueConfigurations", []) if item.get("Id", "").startswith(OURS)]
    if sorted(map(_essence, before)) == sorted(map(_essence, ours)):
        return
    current["QueueConfigurations"] = [*others, *ours]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=current)  # type: ignore[arg-type]


def _essence(item: Mapping[str, Any]) -> str:
    rules = item.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    return json.dumps([item["QueueArn"], item["Events"], [[r["Name"].lower(), r["Value"]] for r in rules]])


def notifications(arn: str, prefixes: Iterable[str]) -> list[dict[str, Any]]:
    """Notification settings that cover all prefixes; S3 refuses settings that overlap."""
    return [
        {
            "Id": f"{OURS}{number}",
            "QueueArn": arn,
            "Events": ["s3:ObjectCreated:*"],
            **({"Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}} if prefix else {}),
        }
        for number, prefix in enumerate(covering(prefixes))
    ]


def covering(prefixes: Iterable[str]) -> list[str]:
    """The fewest of the prefixes that cover them all."""
    found: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not any(prefix.startswith(other) for other in found):
            found.append(prefix)
    return found
