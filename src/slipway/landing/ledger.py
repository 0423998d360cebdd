"""The ledger: which objects have arrived, which batch holds them, and what became of them.

Every function works in the caller's transaction. The order of `seq` is the order in which the versions of a key
were current in S3, because objects are observed under `intake_lock` and only as S3 shows them, never as a message
tells them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

from sqlalchemy import (
    Connection,
    Row,
    Text,
    case,
    cast,
    delete,
    exists,
    func,
    null,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from slipway.database.tables import landing_batch as batch
from slipway.database.tables import landing_object as obj
from slipway.database.tables import storage_identity
from slipway.landing.isolation import Attempt, Quarantine, Retry, Split, Verdict, halves
from slipway.landing.objects import Known, Seen, changed

_INTAKE_LOCK = 0x511B
ERROR_LENGTH = 4000


def storable(text: str) -> str:
    """A text as Postgres takes it: errors quote files, and files hold anything."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()[:ERROR_LENGTH]


class ClaimLost(Exception):
    """The batch is not this run's any more: its files went to another run, or the ledger was reset."""

    def __init__(self, token: str, state: str | None) -> None:
        why = f"its state is {state}" if state else "the ledger does not know it"
        super().__init__(
            f"slipway: claim {token} is not this run's any more ({why}); its files are in other hands, "
            "so this run writes nothing"
        )


@dataclass(frozen=True)
class OpenBatch:
    """A batch that is neither done nor revoked."""

    id: str
    landing: str
    files: int
    bytes: int
    attempt: int
    root_id: str
    not_before: datetime | None
    run_id: str | None
    opened: bool
    due: bool


@dataclass(frozen=True)
class ClaimedObject:
    """A version of an object that a batch holds."""

    id: int
    bucket: str
    key: str
    version: str
    version_id: str | None
    etag: str
    size: int


# Taking in


@contextmanager
def intake_lock(connection: Connection, landing: str) -> Iterator[bool]:
    """Whether this process may observe the landing now. Two daemons thus never record versions out of order."""
    keys = _lock_keys(landing)
    mine = bool(connection.execute(text("SELECT pg_try_advisory_lock(:space, :landing)"), keys).scalar())
    connection.commit()
    try:
        yield mine
    finally:
        if mine:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:space, :landing)"), keys)
            connection.commit()


def _lock_keys(landing: str) -> dict[str, int]:
    return {"space": _INTAKE_LOCK, "landing": crc32(landing.encode()) - 2**31}


def keep_intake_out(connection: Connection, landing: str) -> None:
    """Let no process observe the landing until this transaction ends; waits for one that does just now."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:space, :landing)"), _lock_keys(landing))


def known(connection: Connection, landing: str, bucket: str, keys: Sequence[str]) -> dict[str, Known]:
    """The newest known version of each of the keys that the ledger knows."""
    wanted = func.unnest(cast(list(keys), ARRAY(Text))).table_valued("key").render_derived(name="wanted")
    newest = (
        select(obj.c.version, obj.c.etag, obj.c.size, obj.c.state)
        .where(obj.c.landing == landing, obj.c.bucket == bucket, obj.c.key == wanted.c.key)
        .order_by(obj.c.seq.desc())
        .limit(1)
        .lateral()
    )
    rows = connection.execute(select(wanted.c.key, newest).select_from(wanted).join(newest, true()))
    return {row.key: Known(row.version, row.etag, row.size, row.state) for row in rows}


def observe(connection: Connection, landing: str, seen: Sequence[Seen]) -> int:
    """Record the current versions of objects, each key once; how many of them the ledger did not have.

    An unclaimed older version of a key becomes superseded; a claimed one is left to its run, and the new one waits.
    """
    count = 0
    for bucket in sorted({item.bucket for item in seen}):
        items = {item.key: item for item in seen if item.bucket == bucket}
        new = changed(items.values(), known(connection, landing, bucket, list(items)))
        if new:
            _take_in(connection, landing, bucket, new)
            count += len(new)
    return count


def _take_in(connection: Connection, landing: str, bucket: str, items: Sequence[Seen]) -> None:
    connection.execute(
        update(obj)
        .where(
            obj.c.landing == landing,
            obj.c.bucket == bucket,
            obj.c.key == func.any([item.key for item in items]),
            obj.c.state == "new",
        )
        .values(
            state="superseded", finished_at=func.clock_timestamp(), error="a newer version of the key arrived"
        )
    )
    statement = insert(obj).values(
        [
            {
                "landing": landing,
                "bucket": bucket,
                "key": item.key,
                "version": item.version,
                "version_id": item.version_id,
                "etag": item.etag,
                "size": item.size,
                "state": "new",
            }
            for item in items
        ]
    )
    in_flight = obj.c.state == "claimed"
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[obj.c.landing, obj.c.bucket, obj.c.key, obj.c.version],
            set_={
                "seq": statement.excluded.seq,
                "state": case((in_flight, "claimed"), else_="new"),
                "batch_id": case((in_flight, obj.c.batch_id), else_=null()),
                "attempts": case((in_flight, obj.c.attempts), else_=0),
                "error": null(),
                "finished_at": null(),
                "observed_at": statement.excluded.observed_at,
            },
        )
    )


def adopt(connection: Connection, restored: Iterable[Mapping[str, object]]) -> int:
    """Objects that were restored under another ETag or version id are the ones that the ledger knows.

    Each item has bucket, key, and the etag, size and version_id of old and new. Returns the rows renamed.
    """
    count = 0
    for item in restored:
        old, new = (_seen(item, side) for side in ("old", "new"))
        if not _make_way(connection, old, new):
            continue
        count += connection.execute(
            update(obj)
            .where(obj.c.bucket == old.bucket, obj.c.key == old.key, obj.c.version == old.version)
            .values(version=new.version, version_id=new.version_id, etag=new.etag)
        ).rowcount
    return count


def _make_way(connection: Connection, old: Seen, new: Seen) -> bool:
    """Whether the row of the old version may take the new one's name.

    The same bytes may be known by that name already, since they came in another way before. That row goes, unless a
    run has it: then the old version's goes, which need not wait for what is loaded just now.
    """
    same_key = (obj.c.bucket == old.bucket, obj.c.key == old.key)
    rows = connection.execute(
        select(obj.c.version, obj.c.state).where(*same_key, obj.c.version.in_([old.version, new.version]))
    )
    states = dict(rows.tuples().all())
    if old.version == new.version or old.version not in states:
        return False
    superfluous = old.version if states.get(new.version) == "claimed" else new.version
    connection.execute(delete(obj).where(*same_key, obj.c.version == superfluous))
    return superfluous == new.version


def _seen(item: Mapping[str, object], side: str) -> Seen:
    old, values = item["old"], item[side]
    if not isinstance(old, Mapping) or not isinstance(values, Mapping):
        raise ValueError(f"restored object without old and new: {item!r}")
    version_id = values.get("version_id")
    return Seen(
        bucket=str(item["bucket"]),
        key=str(item["key"]),
        etag=str(values["etag"]).strip('"'),
        size=int(values.get("size", old["size"])),
        version_id=None if version_id in (None, "null") else str(version_id),
    )


# Claiming


def claim(
    connection: Connection, landing: str, *, max_files: int, max_bytes: int, run_id: str | None = None
) -> OpenBatch | None:
    """Claim the longest waiting objects as one batch: at most max_files, and max_bytes unless one alone is more.

    With run_id the batch is opened by that run at once. None when nothing waits.
    """
    rival = obj.alias("rival")
    waiting = connection.execute(
        select(obj.c.id, obj.c.size)
        .where(
            obj.c.landing == landing,
            obj.c.state == "new",
            ~exists().where(
                rival.c.landing == obj.c.landing,
                rival.c.bucket == obj.c.bucket,
                rival.c.key == obj.c.key,
                rival.c.state == "claimed",
            ),
        )
        .order_by(obj.c.seq)
        .limit(max_files)
        .with_for_update(of=obj, skip_locked=True)
    ).all()
    taken = _within(waiting, max_bytes)
    if not taken:
        return None
    token = uuid.uuid4().hex
    _open(connection, token, landing, taken, root_id=token, attempt=1, delay=None, run_id=run_id)
    return next(found for found in open_batches(connection, landing) if found.id == token)


def _within(rows: Sequence[Row[tuple[int, int]]], max_bytes: int) -> list[tuple[int, int]]:
    taken: list[tuple[int, int]] = []
    total = 0
    for row in rows:
        total += row.size
        if taken and total > max_bytes:
            break
        taken.append((row.id, row.size))
    return taken


def _open(
    connection: Connection,
    token: str,
    landing: str,
    objects: Sequence[tuple[int, int]],
    *,
    root_id: str,
    attempt: int,
    delay: timedelta | None,
    run_id: str | None = None,
    parent_id: str | None = None,
) -> None:
    connection.execute(
        insert(batch).values(
            id=token,
            landing=landing,
            state="claimed",
            files=len(objects),
            bytes=sum(size for _, size in objects),
            attempt=attempt,
            root_id=root_id,
            parent_id=parent_id,
            not_before=None if delay is None else func.clock_timestamp() + delay,
            run_id=run_id,
            created_at=func.clock_timestamp(),
            opened_at=None if run_id is None else func.clock_timestamp(),
        )
    )
    connection.execute(
        update(obj)
        .where(obj.c.id == func.any([identity for identity, _ in objects]))
        .values(
            state="claimed",
            batch_id=token,
            claimed_at=func.clock_timestamp(),
            attempts=obj.c.attempts + 1,
            error=None,
        )
    )


def open_batches(connection: Connection, landing: str) -> list[OpenBatch]:
    """The landing's batches that are neither done nor revoked, oldest first."""
    rows = connection.execute(
        select(batch, (func.coalesce(batch.c.not_before, func.now()) <= func.clock_timestamp()).label("due"))
        .where(batch.c.landing == landing, batch.c.state == "claimed")
        .order_by(batch.c.created_at, batch.c.id)
    )
    return [
        OpenBatch(
            id=row.id,
            landing=row.landing,
            files=row.files,
            bytes=row.bytes,
            attempt=row.attempt,
            root_id=row.root_id,
            not_before=row.not_before,
            run_id=row.run_id,
            opened=row.opened_at is not None,
            due=row.due,
        )
        for row in rows
    ]


def held_by(connection: Connection, run_id: str) -> list[tuple[str, str]]:
    """Id and landing of each open batch that a run was the last to open, the oldest first."""
    found = connection.execute(
        select(batch.c.id, batch.c.landing)
        .where(batch.c.run_id == run_id, batch.c.state == "claimed")
        .order_by(batch.c.created_at)
    )
    return [(row.id, row.landing) for row in found]


def open_for(connection: Connection, token: str, run_id: str) -> list[ClaimedObject] | None:
    """The objects of a run's batch, which is noted as opened by it; None when the batch is done already.

    Raises ClaimLost when the batch was revoked or is unknown.
    """
    mine = connection.execute(
        update(batch)
        .where(batch.c.id == token, batch.c.state == "claimed")
        .values(run_id=run_id, opened_at=func.clock_timestamp())
    ).rowcount
    if not mine:
        state = connection.execute(select(batch.c.state).where(batch.c.id == token)).scalar()
        if state == "done":
            return None
        raise ClaimLost(token, state)
    rows = connection.execute(
        select(obj.c.id, obj.c.bucket, obj.c.key, obj.c.version, obj.c.version_id, obj.c.etag, obj.c.size)
        .where(obj.c.batch_id == token, obj.c.state == "claimed")
        .order_by(obj.c.seq)
    )
    return [ClaimedObject(*row) for row in rows]


# Settling


def _lock(connection: Connection, token: str) -> None:
    state = connection.execute(select(batch.c.state).where(batch.c.id == token).with_for_update()).scalar()
    if state != "claimed":
        raise ClaimLost(token, state)


def finish(connection: Connection, token: str) -> None:
    """The batch's claimed objects are done. Nothing changes when they are already.

    Raises ClaimLost when the batch was revoked or is unknown.
    """
    try:
        _lock(connection, token)
    except ClaimLost:
        if connection.execute(select(batch.c.state).where(batch.c.id == token)).scalar() == "done":
            return
        raise
    _close(connection, token, "done", None)
    connection.execute(
        update(obj)
        .where(obj.c.batch_id == token, obj.c.state == "claimed")
        .values(state="done", finished_at=func.clock_timestamp(), error=None)
    )


def set_aside(connection: Connection, token: str, object_id: int, state: str, error: str) -> None:
    """One object of the batch is `quarantined` or `superseded`, whatever becomes of the others.

    Raises ClaimLost when the batch is not open.
    """
    _lock(connection, token)
    connection.execute(
        update(obj)
        .where(obj.c.id == object_id, obj.c.batch_id == token, obj.c.state == "claimed")
        .values(state=state, error=storable(error), finished_at=func.clock_timestamp())
    )


def attempt(connection: Connection, token: str) -> Attempt:
    """What is known of a batch for deciding on its failure.

    Raises ClaimLost when the batch is not open.
    """
    _lock(connection, token)
    row = connection.execute(select(batch.c.attempt, batch.c.root_id).where(batch.c.id == token)).one()
    files = select(func.count()).select_from(obj).where(obj.c.batch_id == token, obj.c.state == "claimed")
    kin = select(obj.c.state, func.count().label("number")).join(batch, batch.c.id == obj.c.batch_id)
    kin = kin.where(batch.c.root_id == row.root_id, obj.c.state.in_(["done", "quarantined"]))
    outcomes = {found.state: found.number for found in connection.execute(kin.group_by(obj.c.state))}
    return Attempt(
        files=connection.execute(files).scalar_one(),
        attempt=row.attempt,
        kin_done=outcomes.get("done", 0),
        kin_quarantined=outcomes.get("quarantined", 0),
    )


def settle(connection: Connection, token: str, verdict: Verdict, error: str) -> None:
    """Take a failed batch back from its run, and do with its files what the verdict says.

    Raises ClaimLost when the batch is not open.
    """
    _lock(connection, token)
    _close(connection, token, "revoked", error)
    _give_way(connection, token)
    rows = connection.execute(
        select(obj.c.id, obj.c.size, obj.c.landing)
        .where(obj.c.batch_id == token, obj.c.state == "claimed")
        .order_by(obj.c.seq)
    ).all()
    if not rows:
        return
    parent = connection.execute(select(batch).where(batch.c.id == token)).one()
    objects = [(row.id, row.size) for row in rows]
    match verdict:
        case Quarantine():
            connection.execute(
                update(obj)
                .where(obj.c.batch_id == token, obj.c.state == "claimed")
                .values(state="quarantined", error=storable(error), finished_at=func.clock_timestamp())
            )
        case Retry(delay=delay):
            _open(
                connection,
                uuid.uuid4().hex,
                parent.landing,
                objects,
                root_id=parent.root_id,
                parent_id=token,
                attempt=parent.attempt + 1,
                delay=delay,
            )
        case Split(delay=delay):
            for half in halves(objects):
                _open(
                    connection,
                    uuid.uuid4().hex,
                    parent.landing,
                    half,
                    root_id=parent.root_id,
                    parent_id=token,
                    attempt=1,
                    delay=delay,
                )


def _give_way(connection: Connection, token: str) -> None:
    """Versions that a waiting newer one of their key makes pointless are not tried again."""
    newer = obj.alias("newer")
    connection.execute(
        update(obj)
        .where(
            obj.c.batch_id == token,
            obj.c.state == "claimed",
            exists().where(
                newer.c.landing == obj.c.landing,
                newer.c.bucket == obj.c.bucket,
                newer.c.key == obj.c.key,
                newer.c.state == "new",
            ),
        )
        .values(
            state="superseded", finished_at=func.clock_timestamp(), error="a newer version of the key arrived"
        )
    )


def _close(connection: Connection, token: str, state: str, error: str | None) -> None:
    connection.execute(
        update(batch)
        .where(batch.c.id == token)
        .values(
            state=state, finished_at=func.clock_timestamp(), error=None if error is None else storable(error)
        )
    )


# Standing still


def halt(connection: Connection, reason: str | None) -> None:
    """Let no more batches be claimed, for this reason; None lets them again."""
    connection.execute(
        update(storage_identity)
        .where(storage_identity.c.halted.is_distinct_from(reason))
        .values(halted=reason)
    )


def halted(connection: Connection) -> str | None:
    """Why no batches may be claimed, if so."""
    return connection.execute(select(storage_identity.c.halted)).scalar()
