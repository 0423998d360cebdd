"""What a sensor's tick and the intake cost with a ledger of a thousand and of a million known objects.

    python bench/landing_tick.py [OBJECTS…]

Prints JSON: for each size the median and the 95th percentile of each piece of work, in milliseconds. The ledger is
filled by SQL, in an embedded Postgres of its own.
"""

from __future__ import annotations

import hashlib
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dagster import DagsterInstance
from sqlalchemy import Engine, create_engine, text

from bench.rig import host, report
from bench.rig.progress import say
from slipway.database import upgrade
from slipway.embedded.postgres import EmbeddedPostgres
from slipway.landing import inspect, ledger
from slipway.landing.isolation import Split
from slipway.landing.objects import Seen
from slipway.landing.sensor import Limits, tick

SIZES = (1_000, 1_000_000)
LIMITS = Limits(max_files=1000, max_bytes=10**12, batches=1)
PAGE = 1000
"""Objects on one page of a listing."""
Figures = dict[str, float]
log = logging.getLogger(__name__)
log.addHandler(logging.NullHandler())

FILL = """
    INSERT INTO slipway_ledger.landing_batch (id, landing, state, files, bytes, root_id, finished_at)
        SELECT 'b' || n, 'inbox', 'done', 1000, 1000, 'b' || n, now() FROM generate_series(0, :objects / 1000) n;
    INSERT INTO slipway_ledger.landing_object
        (landing, bucket, key, version, etag, size, state, batch_id, finished_at)
        SELECT 'inbox', 'the-bucket', 'orders/' || to_char(n, 'FM0000000') || '.csv', md5(n::text) || '\\:1', md5(n::text),
               1, 'done', 'b' || (n / 1000), now()
        FROM generate_series(1, :objects) n
"""


def known(first: int) -> list[Seen]:
    """A page of a listing in which nothing is new."""
    return [
        Seen(
            "the-bucket",
            f"orders/{n:07}.csv",
            hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest(),
            1,
        )
        for n in range(first, first + PAGE)
    ]


def new(prefix: str, count: int = PAGE) -> list[Seen]:
    """A page of a listing in which everything is new; its keys sort among the known ones."""
    return [Seen("the-bucket", f"orders/{n:07}-{prefix}.csv", prefix, 1) for n in range(count)]


def measure(
    repeats: int, work: Callable[[int], object], between: Callable[[int], object] = lambda n: None
) -> Figures:
    """Median and 95th percentile of a piece of work, in milliseconds."""
    took = []
    for number in range(repeats):
        between(number)
        began = time.perf_counter()
        work(number)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return {
        "median_ms": round(statistics.median(took), 2),
        "p95_ms": round(took[int(0.95 * (len(took) - 1))], 2),
    }


def figures(database: Engine, instance: DagsterInstance, objects: int) -> dict[str, Figures]:
    """All measurements on a ledger of this size."""
    with database.begin() as connection:
        upgrade(connection)
        connection.execute(text("INSERT INTO slipway_ledger.storage_identity (id) VALUES ('bench')"))
        for statement in FILL.split(";"):
            connection.execute(text(statement), {"objects": objects})
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE slipway_ledger.landing_object"))

    def observe(seen: list[Seen]) -> None:
        with database.begin() as connection:
            ledger.observe(connection, "inbox", seen)

    def tick_once(_: int) -> None:
        tick(database, instance, "inbox", LIMITS, log)

    def finish() -> None:
        with database.begin() as connection:
            for batch in ledger.open_batches(connection, "inbox"):
                ledger.finish(connection, batch.id)

    def settle(_: int) -> None:
        with database.begin() as connection:
            (batch,) = ledger.open_batches(connection, "inbox")
            ledger.attempt(connection, batch.id)
            ledger.settle(connection, batch.id, Split(), "a step failed")

    def arrived(seen: list[Seen]) -> None:
        finish()
        observe(seen)

    def claimed(seen: list[Seen]) -> None:
        arrived(seen)
        tick_once(0)

    def overview(_: int) -> None:
        with database.connect() as connection:
            inspect.summaries(connection)

    found: dict[str, Figures] = {
        "tick, nothing new": measure(200, tick_once),
        "tick, claims 1 file": measure(30, tick_once, lambda n: arrived(new(f"one-{n}", 1))),
        "tick, claims 1000 files": measure(10, tick_once, lambda n: arrived(new(f"page-{n}"))),
        "settling of a failed batch of 1000": measure(10, settle, lambda n: claimed(new(f"failed-{n}"))),
    }
    finish()
    found |= {
        "listing page, 1000 known": measure(20, lambda n: observe(known(1))),
        "listing page, 1000 new": measure(10, lambda n: observe(new(f"listed-{n}"))),
        "event of 1 known object": measure(50, lambda n: observe(known(1)[:1])),
        "slipway landing list": measure(3, overview),
    }
    return found


@contextmanager
def fresh(server: EmbeddedPostgres, name: str) -> Iterator[Engine]:
    """An empty database."""
    with create_engine(server.url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    database = create_engine(server.url.removesuffix("/slipway") + f"/{name}", pool_size=2)
    yield database
    database.dispose()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; arguments are sizes of the ledger."""
    sizes = [int(argument) for argument in (sys.argv[1:] if arguments is None else arguments)] or SIZES
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
        DagsterInstance.ephemeral() as instance,
    ):
        result: dict[int, dict[str, Figures]] = {}
        for size in sizes:
            with fresh(server, f"bench_{size}") as database:
                result[size] = figures(database, instance, size)
    described = host.description()
    report.publish("landing_tick", f"{host.sentence(described)}\n\n{rendered(result)}")
    say(f"written: {report.save('landing_tick', {'machine': described, 'known_objects': result})}")
    return 0


def rendered(result: Mapping[int, Mapping[str, Figures]]) -> str:
    """The medians as a table, a column for each size of the ledger."""
    first, *_ = result.values()
    rows = ((name, *(f"{of[name]['median_ms']:.1f}" for of in result.values())) for name in first)
    return report.table(("median, ms", *(f"{size:,} known".replace(",", " ") for size in result)), rows)


if __name__ == "__main__":
    sys.exit(main())
