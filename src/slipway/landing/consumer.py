"""Which sensor serves a landing. A file goes to one job only, so a second sensor on the same landing waits."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from slipway.database.tables import landing_consumer as table

SILENCE = timedelta(seconds=60)
"""A sensor that has not ticked for so long, while another did all the time, has been renamed, removed or turned off."""


def serve(connection: Connection, landing: str, consumer: str) -> str:
    """Note a tick of a sensor; the sensor that serves the landing now, which is another one if this one must wait.

    The times during which nobody ticked, such as a stop of the daemon, do not count as the first one's silence.
    """
    now = func.clock_timestamp()
    connection.execute(
        insert(table)
        .values(landing=landing, consumer=consumer, seen_at=now)
        .on_conflict_do_nothing(index_elements=[table.c.landing])
    )
    here = table.c.landing == landing
    row = connection.execute(
        select(
            table.c.consumer,
            (table.c.seen_at < now - SILENCE).label("silent"),
            ((table.c.rival == consumer) & (table.c.rival_seen_at > now - SILENCE / 2)).label("waiting"),
            (table.c.rival_since < now - SILENCE).label("long"),
        )
        .where(here)
        .with_for_update()
    ).one()
    if row.consumer == consumer or (row.silent and row.waiting and row.long):
        connection.execute(
            update(table)
            .where(here)
            .values(consumer=consumer, seen_at=now, rival=None, rival_since=None, rival_seen_at=None)
        )
        return consumer
    since = {} if row.waiting else {"rival": consumer, "rival_since": now}
    connection.execute(update(table).where(here).values(rival_seen_at=now, **since))
    return str(row.consumer)
