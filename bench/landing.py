"""From a file's upload to the materialisation of it: stock Dagster and Slipway, one after the other in turns."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from bench.rig import host, report, session
from bench.rig.containers import Containers
from bench.rig.progress import doing, say
from bench.rig.sides import Side, Stock
from bench.rig.stages import LANDING_STAGES, durations, marks
from bench.rig.statistics import phases

REPETITIONS = 8
DEFAULT_SENSOR = "default_interval"
FAST_SENSOR = "every_second"
SENSOR_SECONDS = 30
"""Stock Dagster's interval between evaluations: files land at every phase of it alike."""

CONTENT = b"id,amount\n1,100\n"
TUNED = "stock, sensor interval 1 s"


def main() -> None:
    """Measure, print the tables, and write bench/results/landing.json."""
    machine = host.description()
    stock, slipway, containers = session.sides()
    count = session.repetitions(REPETITIONS)
    waits = phases(count, random.Random(2))
    runs: dict[str, list[dict[str, float]]] = {stock.name: [], TUNED: [], slipway.name: []}
    loops = []

    def measure(name: str, side: Side, prefix: str, wait: float) -> dict[str, float]:
        loops.append(host.fixed_loop())
        if name == stock.name:
            await_phase(stock, wait)
        else:
            time.sleep(wait * 5)
        return landed(side, prefix, containers)

    def tuned(wait: float) -> dict[str, float]:
        with switched_on(stock):
            return measure(TUNED, stock, "tuned/", wait)

    ways: dict[str, Callable[[float], dict[str, float]]] = {
        stock.name: lambda wait: measure(stock.name, stock, "default/", wait),
        slipway.name: lambda wait: measure(slipway.name, slipway, "", wait),
        TUNED: tuned,
    }
    doing("warm-up")
    for side, prefix in ((stock, "default/"), (slipway, "")):
        landed(side, prefix, containers)
    for number, wait in enumerate(waits):
        for name, way in ways.items() if number % 2 == 0 else reversed(ways.items()):
            doing(f"landing {number + 1} of {count}: {name}")
            seen = way(wait)
            runs[name].append(seen)
            say(f"landing {number + 1} of {count}: {name} {seen['materialised'] - seen['landed']:.2f} s")
    totals = {name: [seen["materialised"] - seen["landed"] for seen in of] for name, of in runs.items()}
    stages = {name: [durations(seen, LANDING_STAGES) for seen in of] for name, of in runs.items()}
    parts = (
        host.sentence(machine),
        report.samples(totals, stock.name),
        report.breakdown(stages, [name for name, _, _ in LANDING_STAGES]),
        report.machine(loops),
    )
    report.publish("landing", "\n\n".join(parts))
    result: dict[str, Any] = {
        "machine": machine,
        "loops": [asdict(loop) for loop in loops],
        "totals": totals,
        "stages": stages,
    }
    say(f"written: {report.save('landing', result)}")


def landed(side: Side, prefix: str, containers: Containers) -> dict[str, float]:
    """Put a file, and wait for it; when its run passed each mark, in seconds since the epoch."""
    key = f"{prefix}{time.time_ns()}.csv"
    s3 = side.s3()
    at = time.time()
    s3.put_object(Bucket=side.bucket, Key=key, Body=CONTENT)
    found = side.materialisation(key)
    events = side.succeeded(found.run_id)
    seen = {"landed": at, **marks(events), "materialised": found.at, **containers.marks(found.run_id)}
    containers.check_limits(found.run_id)
    return seen


def await_phase(stock: Stock, fraction: float) -> None:
    """Sleep until that fraction of the default sensor's interval has passed since it was last evaluated."""
    last = stock.last_tick(DEFAULT_SENSOR)
    if last is not None:
        time.sleep(max(0.0, (last + fraction * SENSOR_SECONDS - time.time()) % SENSOR_SECONDS))


@contextmanager
def switched_on(stock: Stock) -> Iterator[None]:
    """Have the fast sensor run, and wait until it does."""
    begin = time.time()
    stock.set_sensor(FAST_SENSOR, running=True)
    stock.until(lambda: (stock.last_tick(FAST_SENSOR) or 0) > begin, 60, "the fast sensor is not evaluated")
    try:
        yield
    finally:
        stock.set_sensor(FAST_SENSOR, running=False)


if __name__ == "__main__":
    main()
