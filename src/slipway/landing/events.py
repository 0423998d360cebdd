"""Event messages as S3, SNS and EventBridge put them into a queue: which object each speaks of.

A message is only a hint that a key has changed. Its version, size and order are not used: S3 is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

LONGEST_KEY_BYTES = 1024
"""S3's own limit."""


@dataclass(frozen=True)
class Hint:
    """Something was created under this key."""

    bucket: str
    key: str


class UnknownMessage(Exception):
    """A message of none of the known shapes."""


def hints(body: str) -> list[Hint]:
    """The keys that a message's body names; none for test events and for events other than creation.

    Raises UnknownMessage, with a reason of printable ASCII, for what is not a message about objects.
    """
    try:
        return list(_hints(json.loads(body)))
    except UnknownMessage as error:
        raise UnknownMessage(ascii(str(error))[1:-1]) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnknownMessage(ascii(f"{type(error).__name__}: {error}")[1:-1]) from error


def _hints(message: Any) -> Iterator[Hint]:
    if not isinstance(message, Mapping):
        raise UnknownMessage("not a JSON object")
    if message.get("Event") == "s3:TestEvent":
        return
    if "Records" in message:
        for record in message["Records"]:
            yield from _record(record)
    elif message.get("Type") == "Notification" and "Message" in message:
        yield from _hints(json.loads(message["Message"]))
    elif message.get("source") == "aws.s3" and "detail" in message:
        yield from _event_bridge(message)
    elif message.get("Type") == "SubscriptionConfirmation":
        raise UnknownMessage(f"SNS asks to confirm a subscription; visit {message.get('SubscribeURL')}")
    else:
        raise UnknownMessage(f"unknown keys: {', '.join(sorted(map(str, message)))[:200]}")


def _record(record: Mapping[str, Any]) -> Iterator[Hint]:
    s3 = record["s3"]
    hint = _hint(s3["bucket"]["name"], unquote_plus(str(s3["object"]["key"])))
    if str(record["eventName"]).removeprefix("s3:").startswith("ObjectCreated:"):
        yield hint


def _event_bridge(message: Mapping[str, Any]) -> Iterator[Hint]:
    """EventBridge does not encode keys."""
    detail = message["detail"]
    hint = _hint(detail["bucket"]["name"], detail["object"]["key"])
    if message["detail-type"] == "Object Created":
        yield hint


def _hint(bucket: object, key: object) -> Hint:
    """A key that S3 cannot hold would be asked for in vain, again and again."""
    length = len(str(key).encode())  # raises ValueError for half a surrogate pair
    if not 0 < length <= LONGEST_KEY_BYTES:
        raise UnknownMessage(f"a key of {length} bytes")
    return Hint(str(bucket), str(key))
