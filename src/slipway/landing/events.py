"""Event messages as S3, SNS and EventBridge put them into a queue: which object each speaks of.

A message is only a hint that a key has changed. Its version, size and order are not used: S3 is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus


@dataclass(frozen=True)
class Hint:
    """Something was created under this key."""

    bucket: str
    key: str


class UnknownMessage(Exception):
    """A message of none of the known shapes."""


def hints(body: str) -> list[Hint]:
    """The keys that a message's body names; none for test events and for events other than creation.

    Raises UnknownMessage for what is not a message about objects.
    """
    try:
        return list(_hints(json.loads(body)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnknownMessage(f"{type(error).__name__}: {error}") from error


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
    else:
        raise UnknownMessage(f"unknown keys: {', '.join(sorted(map(str, message)))[:200]}")


def _record(record: Mapping[str, Any]) -> Iterator[Hint]:
    s3 = record["s3"]
    hint = Hint(str(s3["bucket"]["name"]), unquote_plus(str(s3["object"]["key"])))
    if str(record["eventName"]).removeprefix("s3:").startswith("ObjectCreated:"):
        yield hint


def _event_bridge(message: Mapping[str, Any]) -> Iterator[Hint]:
    """EventBridge does not encode keys."""
    detail = message["detail"]
    hint = Hint(str(detail["bucket"]["name"]), str(detail["object"]["key"]))
    if message["detail-type"] == "Object Created":
        yield hint
