"""What `slipway landing` tells of landings, objects and batches, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import Connection

from slipway import aws, identity
from slipway.config.connections import s3_settings
from slipway.config.model import Platform
from slipway.landing import queues
from slipway.landing.inspect import STATES, Batch, Summary, Version
from slipway.ops.results import Result, printable


def overview(summaries: Sequence[Summary]) -> Result:
    """A row for each landing: how many objects in which state, and since when the oldest waits."""
    rows = [
        (one.landing, *(one.states.get(state, 0) for state in STATES), _when(one.oldest_waiting))
        for one in summaries
    ]
    return Result(("landing", *STATES, "oldest new"), rows)


def objects(found: Sequence[Version]) -> Result:
    """A row for each version of an object."""
    rows = [
        (
            one.id,
            one.state,
            one.attempts,
            one.size,
            _when(one.observed_at),
            _short(one.key),
            _short(one.error),
        )
        for one in found
    ]
    return Result(("id", "state", "tries", "bytes", "seen", "key", "error"), rows)


def batches(found: Sequence[Batch]) -> Result:
    """A row for each open batch."""
    return Result(("batch", "landing", "files", "try", "now", "error before"), [_row(one) for one in found])


def _row(found: Batch) -> tuple[Any, ...]:
    if found.run_id:
        now = f"run {found.run_id}"
    elif found.not_before:
        now = f"waits until {_when(found.not_before)}"
    else:
        now = "its run has not begun"
    return found.id, found.landing, found.files, found.attempt, now, _short(found.earlier_error)


def told(version: Version, batches: Sequence[Batch]) -> str:
    """All of one version, and of the batches that had it."""
    lines = [
        f"{version.landing}: s3://{version.bucket}/{printable(version.key)}",
        f"  number    {version.id}",
        f"  version   {printable(version.version)}, {version.size} bytes",
        f"  state     {version.state}",
        f"  seen      {_when(version.observed_at)}",
    ]
    if version.finished_at:
        lines.append(f"  ended     {_when(version.finished_at)}")
    if version.attempts:
        lines.append(f"  tries     {version.attempts}")
    if version.error:
        lines += ["  error", *(f"    {printable(line)}" for line in version.error.splitlines())]
    for one in batches:
        state = {"claimed": "open", "revoked": "taken back"}.get(one.state, one.state)
        if one.not_before:
            state += f", waits until {_when(one.not_before)}"
        lines.append(
            f"  batch     {one.id}: {one.files} files, {state}, {f'run {one.run_id}' if one.run_id else 'no run opened it'}"
        )
        if one.error and one.error != version.error:
            lines += [f"            {printable(line)}" for line in one.error.splitlines()]
    return "\n".join(lines) + "\n"


def depths(platform: Platform, connection: Connection) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the queues hold, by storage; a queue that does not answer soon is said to be unknown."""
    name = queues.queue_name(identity.recorded(connection) or "")
    for storage in queues.by_storage(platform):
        sqs = aws.sqs_client(s3_settings(platform, storage), connect_timeout=2, read_timeout=3, attempts=1)
        try:
            found = queues.find(sqs, name)
            if found is None:
                yield storage, {"error": "there is none; the daemon makes it when it runs"}
                continue
            yield (
                storage,
                {
                    "url": found.queue,
                    "messages": queues.depth(sqs, found.queue),
                    "dead_letters_url": found.dead_letters,
                    "dead_letters": queues.depth(sqs, found.dead_letters),
                },
            )
        except (ClientError, BotoCoreError) as error:
            yield storage, {"error": f"unknown: {error}"}


def depth(found: Mapping[str, Any]) -> str:
    """What `depths` found in one queue."""
    if "error" in found:
        return printable(found["error"])
    dead = (
        f", {found['dead_letters']} dead letters in {found['dead_letters_url']}"
        if found["dead_letters"]
        else ""
    )
    return f"{found['messages']} messages{dead}"


def _when(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _short(said: str | None, length: int = 100) -> str:
    """The beginning of a text."""
    whole = said or ""
    return whole if len(whole) <= length else f"{whole[: length - 1]}…"
