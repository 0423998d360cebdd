"""What a person may ask of the ledger and tell it: each function one look or one change in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, and_, func, literal, select, update

from slipway.database.tables import landing_batch as batch
from slipway.database.tables import landing_object as obj
from slipway.landing import ledger

STATES = ("new", "claimed", "done", "quarantined", "superseded")


class Refused(Exception):
    """What was asked for cannot be done; one reason for each object, and nothing has changed."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True)
class Batch:
    """A batch, with what it was made of when it is a repetition."""

    id: str
    landing: str
    state: str
    files: int
    bytes: int
    attempt: int
    run_id: str | None
    created_at: datetime
    not_before: datetime | None
    """When it is tried again, while that is in the future."""
    opened: bool
    """Whether a run has asked for its files."""
    error: str | None
    """Why it was taken back from its run."""
    earlier_error: str | None
    """Why the batch before it, with the same files or more, was taken back."""


@dataclass(frozen=True)
class Summary:
    """A landing as the ledger knows it."""

    landing: str
    states: Mapping[str, int] = field(default_factory=dict)
    oldest_waiting: datetime | None = None
    batches: Sequence[Batch] = ()
    """The open ones, oldest first."""


@dataclass(frozen=True)
class Version:
    """A version of an object."""

    id: int
    landing: str
    bucket: str
    key: str
    version: str
    version_id: str | None
    etag: str
    size: int
    state: str
    attempts: int
    error: str | None
    batch_id: str | None
    observed_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None


# Looking


def summaries(connection: Connection) -> list[Summary]:
    """Every landing that the ledger has objects of, by name."""
    counts: dict[str, dict[str, int]] = {}
    oldest: dict[str, datetime] = {}
    for row in connection.execute(
        select(
            obj.c.landing,
            obj.c.state,
            func.count().label("number"),
            func.min(obj.c.observed_at).label("first"),
        )
        .group_by(obj.c.landing, obj.c.state)
        .order_by(obj.c.landing)
    ):
        counts.setdefault(row.landing, {})[row.state] = row.number
        if row.state == "new":
            oldest[row.landing] = row.first
    going: dict[str, list[Batch]] = {}
    for found in _batches(connection, batch.c.state == "claimed"):
        going.setdefault(found.landing, []).append(found)
    return [
        Summary(name, counts.get(name, {}), oldest.get(name), going.get(name, ()))
        for name in sorted({*counts, *going})
    ]


def _batches(connection: Connection, *conditions: object) -> list[Batch]:
    parent = batch.alias("parent")
    later = and_(batch.c.state == "claimed", batch.c.not_before > func.clock_timestamp())
    rows = connection.execute(
        select(
            batch,
            parent.c.error.label("earlier_error"),
            func.coalesce(later, False).label("later"),
        )
        .join_from(batch, parent, parent.c.id == batch.c.parent_id, isouter=True)
        .where(*conditions)  # type: ignore[arg-type]
        .order_by(batch.c.created_at, batch.c.id)
    )
    return [
        Batch(
            row.id,
            row.landing,
            row.state,
            row.files,
            row.bytes,
            row.attempt,
            row.run_id,
            row.created_at,
            row.not_before if row.later else None,
            row.opened_at is not None,
            row.error,
            row.earlier_error,
        )
        for row in rows
    ]


def knows(connection: Connection, landing: str) -> bool:
    """Whether the ledger has objects of a landing."""
    return connection.execute(select(obj.c.id).where(obj.c.landing == landing).limit(1)).scalar() is not None


def objects(
    connection: Connection, landing: str, *, state: str | None = None, prefix: str = "", limit: int = 50
) -> list[Version]:
    """Versions of a landing's objects, the last observed first."""
    query = select(*_VERSION).where(obj.c.landing == landing, obj.c.key.startswith(prefix, autoescape=True))
    if state is not None:
        query = query.where(obj.c.state == state)
    return [Version(*row) for row in connection.execute(query.order_by(obj.c.seq.desc()).limit(limit))]


_VERSION = [obj.c[name] for name in Version.__dataclass_fields__]


def find(connection: Connection, reference: str, landing: str | None = None) -> list[Version]:
    """The versions that a person means, the last observed first: of a key, of `s3://bucket/key`, or the one with
    this number. A key that looks like a number goes before the number."""
    bucket, _, inner = reference.removeprefix("s3://").partition("/")
    which = [obj.c.landing == landing] if landing is not None else []
    found = _versions(connection, obj.c.key == reference, *which)
    if not found and reference.startswith("s3://") and inner:
        found = _versions(connection, obj.c.key == inner, obj.c.bucket == bucket, *which)
    if not found and reference.isascii() and reference.isdigit() and len(reference) < 19:
        found = _versions(connection, obj.c.id == int(reference), *which)
    return found


def find_ids(connection: Connection, ids: Sequence[int]) -> list[Version]:
    """The versions with these numbers."""
    return _versions(connection, obj.c.id.in_(ids))


def _versions(connection: Connection, *conditions: object) -> list[Version]:
    query = select(*_VERSION).where(*conditions).order_by(obj.c.seq.desc())  # type: ignore[arg-type]
    return [Version(*row) for row in connection.execute(query)]


def history(connection: Connection, batch_id: str) -> list[Batch]:
    """A batch and those that its files were in before, the last first."""
    found: list[Batch] = []
    following: str | None = batch_id
    while following is not None:
        found += _batches(connection, batch.c.id == following)
        following = connection.execute(select(batch.c.parent_id).where(batch.c.id == following)).scalar()
    return found


# Changing


def retry(connection: Connection, wanted: Sequence[Version]) -> dict[int, str]:
    """Let quarantined versions wait again, and batches that wait for a later time be due now; by object, what was done.

    Raises Refused when one of them cannot be, and changes nothing then.
    """
    done: dict[int, str] = {}
    reasons: list[str] = []
    for version in _locked(connection, wanted):
        if (newer := _newer(connection, version)) is not None:
            reasons.append(f"{_name(version)}: a newer version of the key arrived, which is {newer}")
        elif version.state == "quarantined":
            _let_wait(connection, [version.id])
            done[version.id] = "waits again"
        elif version.state == "claimed" and (later := _waiting_batch(connection, version)) is not None:
            _make_due(connection, batch.c.id == later)
            done[version.id] = "its batch is due now"
        else:
            reasons.append(f"{_name(version)}: {_standing(connection, version)}")
    if reasons:
        raise Refused(reasons)
    return done


def retry_all(connection: Connection, landing: str) -> tuple[int, int, int]:
    """All that a landing holds back goes again: how many quarantined objects wait again, how many stay because a
    newer version of their key arrived, and how many batches are due now."""
    ledger.keep_intake_out(connection, landing)
    held = _versions(connection, obj.c.landing == landing, obj.c.state == "quarantined")
    newest = obj.alias("newest")
    overtaken = set(
        connection.execute(
            select(obj.c.id).where(
                obj.c.landing == landing,
                obj.c.state == "quarantined",
                select(literal(1))
                .where(
                    newest.c.landing == obj.c.landing,
                    newest.c.bucket == obj.c.bucket,
                    newest.c.key == obj.c.key,
                    newest.c.seq > obj.c.seq,
                )
                .exists(),
            )
        ).scalars()
    )
    again = [version.id for version in held if version.id not in overtaken]
    _let_wait(connection, again)
    return len(again), len(overtaken), _make_due(connection, batch.c.landing == landing)


def quarantine(connection: Connection, wanted: Sequence[Version], reason: str) -> dict[int, str]:
    """Set versions aside that no run has read; by object, what was done.

    Raises Refused when one of them cannot be, and changes nothing then: a run that has opened its batch holds a copy
    of the file, and would commit its rows all the same.
    """
    done: dict[int, str] = {}
    reasons: list[str] = []
    for version in _locked(connection, wanted):
        unread = version.state == "new"
        if version.state == "claimed":
            assert version.batch_id is not None
            opened = select(batch.c.opened_at).where(batch.c.id == version.batch_id).with_for_update()
            unread = connection.execute(opened).scalar() is None
        if not unread:
            reasons.append(f"{_name(version)}: {_standing(connection, version)}")
            continue
        connection.execute(
            update(obj)
            .where(obj.c.id == version.id)
            .values(
                state="quarantined",
                error=ledger.storable(f"set aside by hand: {reason}"),
                finished_at=func.clock_timestamp(),
            )
        )
        done[version.id] = "quarantined"
    if reasons:
        raise Refused(reasons)
    return done


def _locked(connection: Connection, wanted: Sequence[Version]) -> list[Version]:
    """The versions as they are now, and stay until the transaction ends."""
    for landing in sorted({version.landing for version in wanted}):
        ledger.keep_intake_out(connection, landing)
    batches = {version.batch_id for version in wanted if version.batch_id is not None}
    # Batches before their objects: the order in which everyone locks them.
    connection.execute(
        select(batch.c.id).where(batch.c.id.in_(batches)).order_by(batch.c.id).with_for_update()
    ).all()
    ids = sorted({version.id for version in wanted})
    rows = connection.execute(select(*_VERSION).where(obj.c.id.in_(ids)).order_by(obj.c.id).with_for_update())
    return [Version(*row) for row in rows]


def _newer(connection: Connection, version: Version) -> str | None:
    """The state of the newest version of the key when that is another one."""
    row = connection.execute(
        select(obj.c.id, obj.c.state)
        .where(obj.c.landing == version.landing, obj.c.bucket == version.bucket, obj.c.key == version.key)
        .order_by(obj.c.seq.desc())
        .limit(1)
    ).one()
    return None if row.id == version.id else str(row.state)


def _let_wait(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(
        update(obj)
        .where(obj.c.id == func.any(list(ids)) if ids else literal(False))
        .values(state="new", batch_id=None, attempts=0, error=None, claimed_at=None, finished_at=None)
    )


def _waiting_batch(connection: Connection, version: Version) -> str | None:
    return connection.execute(
        select(batch.c.id).where(
            batch.c.id == version.batch_id,
            batch.c.state == "claimed",
            batch.c.opened_at.is_(None),
            batch.c.not_before > func.clock_timestamp(),
        )
    ).scalar()


def _make_due(connection: Connection, which: object) -> int:
    return connection.execute(
        update(batch)
        .where(which, batch.c.state == "claimed", batch.c.not_before > func.clock_timestamp())  # type: ignore[arg-type]
        .values(not_before=None)
    ).rowcount


def _standing(connection: Connection, version: Version) -> str:
    """Why a version is left as it is."""
    match version.state:
        case "new":
            return "it waits to be claimed"
        case "claimed":
            run_id = connection.execute(select(batch.c.run_id).where(batch.c.id == version.batch_id)).scalar()
            return (
                f"run {run_id} has it"
                if run_id
                else f"batch {version.batch_id} has it, and its run is under way"
            )
        case "done":
            return "it is done; what is put again under its key is taken as a new version"
        case "quarantined":
            return "it is quarantined already"
        case _:
            return f"it is {version.state}: {version.error}"


def _name(version: Version) -> str:
    return f"{version.landing}: s3://{version.bucket}/{version.key} ({version.id})"
