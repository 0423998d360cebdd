"""Two thousand files, and everything that can go wrong meanwhile: each good version's rows are there once.

`CHAOS_SEED=7 make chaos` repeats a seed's deeds, though not their moments; CHAOS_FILES and CHAOS_SECONDS make it longer.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg2
import pytest

from chaos_world import BUCKET, World

SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10_000))
FILES = int(os.environ.get("CHAOS_FILES") or 2000)
SECONDS = float(os.environ.get("CHAOS_SECONDS") or 60)
"""How long files arrive and things are killed."""
PATIENCE_SECONDS = 300 + FILES / 20
"""How long everything may take to settle after that."""

BROKEN = {
    "header": b"key,when,line\nx,1,1\n",
    "type": b"key,version,line\nx,one,1\n",
    "html": b"<html><body>503 Slow Down</body></html>",
    "nothing": b"",
    "binary": bytes(range(256)),
    "poison": b"poison",
}


@dataclass(frozen=True)
class Put:
    """One upload."""

    key: str
    version: int
    body: bytes
    broken: str | None = None


@dataclass
class Plan:
    """What arrives, in order; of two uploads of one key the later counts."""

    puts: list[Put]

    @property
    def last(self) -> dict[str, Put]:
        return {put.key: put for put in self.puts}


def plan(dice: random.Random, files: int) -> Plan:
    """Uploads of so many files: some overwritten, some broken, some broken and mended, keys in no order."""
    names = [
        dice.choice(["", "a/", "z/", "M/", "it's/", "ü/", "sp ace/", "../"])
        + f"{dice.randrange(16**8):08x}.csv"
        for _ in range(files * 9 // 10)
    ]
    puts = [good(dice, key, 1) for key in names]
    for number, kind in enumerate([*BROKEN] * 2):
        if kind != "poison" or number < len(BROKEN):
            puts.append(Put(f"broken/{number}-{kind}.csv", 1, BROKEN[kind], kind))
    mended = Put("broken/mended.csv", 1, BROKEN["header"], "header")
    puts.append(mended)
    dice.shuffle(puts)
    versions = Counter(put.key for put in puts)
    overwrites = [mended.key, *dice.choices(names, k=files - len(puts) - 1)]
    for key in overwrites:
        versions[key] += 1
        # Anywhere after the version before: at once, or when that is loaded long since.
        after = max(index for index, put in enumerate(puts) if put.key == key)
        puts.insert(dice.randint(after + 1, len(puts)), good(dice, key, versions[key]))
    return Plan(puts)


def good(dice: random.Random, key: str, version: int) -> Put:
    lines = "".join(f'"{key}",{version},{line}\n' for line in range(dice.randint(1, 5)))
    return Put(key, version, f"key,version,line\n{lines}".encode())


@dataclass
class Harm:
    """Breaks things, as the dice say, until it is told to stop; counts what it did."""

    world: World
    dice: random.Random
    done: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    left_out: list[str] = field(default_factory=list)

    def run(self) -> None:
        deeds: dict[str, tuple[int, Callable[[], None]]] = {
            "daemon killed": (3, lambda: self.world.up.of("slipway.daemon").kill()),
            "code server killed": (2, lambda: self.world.up.of("slipway.code_server").kill()),
            "run worker killed": (3, self._kill_worker),
            "trap before the commit": (3, lambda: self._set("before-commit")),
            "trap after the commit": (3, lambda: self._set("after-commit")),
            "trap after the claim": (1, lambda: self._set("after-claim")),
            "Postgres crashed": (1, self._crash_postgres),
            "event stolen": (4, self._steal),
            "events doubled": (4, self._double),
        }
        # Each once, as soon as it can be, then as the dice say.
        first = self.dice.sample([*deeds], len(deeds))
        while not self.stop.wait(self.dice.uniform(0.3, 2.5)):
            (name,) = first[:1] or self.dice.choices([*deeds], [weight for weight, _ in deeds.values()])
            # Who is dead already cannot be killed, and a queue may be empty.
            with suppress(StopIteration, LookupError, psutil.NoSuchProcess, psycopg2.Error):
                deeds[name][1]()
                self.done[name] += 1
                first = [other for other in first if other != name]
                continue
            first = first[1:] + first[:1]
        self.left_out = first

    def _set(self, point: str) -> None:
        (self.world.traps / point).touch()

    def _kill_worker(self) -> None:
        workers = [
            process
            for process in psutil.process_iter(["cmdline"])
            if "slipway.worker" in (line := " ".join(process.info["cmdline"] or [])) or "execute_run" in line
            if str(self.world.up.state) in " ".join(process.environ().values())
        ]
        self.dice.choice(workers).kill()

    def _crash_postgres(self) -> None:
        self.world.up.of("bin/postgres -D").send_signal(signal.SIGQUIT)

    def _queue(self) -> str:
        urls = self.world.sqs.list_queues(QueueNamePrefix="slipway-landing-").get("QueueUrls", [])
        return next(url for url in urls if not url.endswith("-dead-letters"))

    def _steal(self) -> None:
        """Events that never arrive: only the listing can find their objects."""
        for message in self._messages(hidden_for=60):
            self.world.sqs.delete_message(QueueUrl=self._queue(), ReceiptHandle=message["ReceiptHandle"])

    def _double(self) -> None:
        for message in self._messages(hidden_for=0):
            self.world.sqs.send_message(QueueUrl=self._queue(), MessageBody=message["Body"])

    def _messages(self, hidden_for: int) -> list[Any]:
        """Some of what the queue holds. Raises LookupError when that is nothing: the daemon was faster."""
        answer = self.world.sqs.receive_message(
            QueueUrl=self._queue(), MaxNumberOfMessages=10, VisibilityTimeout=hidden_for
        )
        if not answer.get("Messages"):
            raise LookupError
        return list(answer["Messages"])


def upload(world: World, puts: list[Put], seconds: float) -> None:
    """Put them in order, in bursts, over about so many seconds."""
    began = time.monotonic()
    for number, put in enumerate(puts):
        world.s3.put_object(Bucket=BUCKET, Key=put.key, Body=put.body)
        ahead = seconds * number / len(puts) - (time.monotonic() - began)
        if ahead > 1:
            time.sleep(ahead)


def settled(world: World, last: dict[str, Put]) -> str | None:
    """What is still to be done; None when nothing is."""
    try:
        rows = world.query(
            "SELECT DISTINCT ON (key) key, state FROM slipway_ledger.landing_object ORDER BY key, seq DESC"
        )
        batches = world.query(
            "SELECT count(*) AS n FROM slipway_ledger.landing_batch WHERE state = 'claimed'"
        )
        runs = world.query(
            "SELECT count(*) AS n FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
        )
    except psycopg2.Error as error:
        return f"Postgres: {error}"
    states = Counter(row["state"] for row in rows)
    missing = last.keys() - {row["key"] for row in rows}
    if missing or states["new"] or states["claimed"] or batches[0]["n"] or runs[0]["n"]:
        return (
            f"{len(rows)} of {len(last)} keys, {dict(states)}, {batches[0]['n']} batches, {runs[0]['n']} runs"
        )
    return None


@pytest.mark.timeout(SECONDS + PATIENCE_SECONDS + 120)
def test_every_good_version_is_loaded_once_whatever_happens(world: World) -> None:
    print(f"\nCHAOS_SEED={SEED}", flush=True)
    began = time.monotonic()
    dice = random.Random(SEED)
    planned = plan(dice, FILES)
    last = planned.last
    harm = Harm(world, random.Random(dice.random()))
    monkey = threading.Thread(target=harm.run)
    upload(world, planned.puts[: FILES // 4], 0)
    monkey.start()
    try:
        upload(world, planned.puts[FILES // 4 :], SECONDS)
    finally:
        harm.stop.set()
        monkey.join()
    print(f"{time.monotonic() - began:.0f} s: {dict(harm.done)}", flush=True)
    assert harm.left_out == []
    deadline = time.monotonic() + PATIENCE_SECONDS
    quiet_since = None
    say_at = 0.0
    while quiet_since is None or time.monotonic() - quiet_since < 5:
        left = settled(world, last)
        quiet_since = (quiet_since or time.monotonic()) if left is None else None
        if time.monotonic() > say_at:
            print(f"{time.monotonic() - began:.0f} s: {left}", flush=True)
            say_at = time.monotonic() + 15
        assert time.monotonic() < deadline, (
            f"CHAOS_SEED={SEED}: {left}\n{world.slipway('landing', 'list').stdout}"
        )
        time.sleep(1)
    objects = world.json("landing", "list", "inbox", "--limit", "1000000")["objects"]
    objects = [one for one in objects if one["key"] in last]  # and not what other tests landed
    states = {(one["key"], one["version"]): one["state"] for one in objects}
    assert set(states.values()) <= {"done", "quarantined", "superseded"}
    newest: dict[str, dict[str, object]] = {}
    for one in objects:
        newest.setdefault(one["key"], one)
    for key, put in last.items():
        assert newest[key]["state"] == ("quarantined" if put.broken else "done"), (SEED, newest[key])
    for key, put in last.items():
        if put.broken:
            assert newest[key]["error"], key
    assert "is poison" in str(newest["broken/5-poison.csv"]["error"])

    loads = world.json("sql", "FROM shop.loads")
    times = Counter((row["file"], row["ledger_version"]) for row in loads if row["file"] in last)
    assert [version for version, count in times.items() if count > 1] == [], (
        f"CHAOS_SEED={SEED}: loaded twice"
    )
    done = {version for version, state in states.items() if state == "done"}
    assert set(times) == done, f"CHAOS_SEED={SEED}: ledger and lake disagree"

    rows = world.json("sql", "SELECT file, key, version, line FROM shop.orders ORDER BY ALL")
    expected = [
        {"file": key, "key": key, "version": put.version, "line": line}
        for key, put in sorted(last.items(), key=lambda item: item[0].encode())
        if not put.broken
        for line in range(put.body.count(b"\n") - 1)
    ]
    rows = [row for row in rows if row["file"] in last]
    assert rows == expected, f"CHAOS_SEED={SEED}: rows are not those of the last versions"
    assert world.json("sql", "SELECT files FROM shop.total") == [{"files": len(loads)}], (
        "downstream is behind"
    )
