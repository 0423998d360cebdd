"""From the request for a trivial run to its success: stock Dagster and Slipway, one after the other in turns."""

from __future__ import annotations

import random
import time
from dataclasses import asdict
from typing import Any

from bench.rig import host, report, session
from bench.rig.containers import Containers
from bench.rig.progress import doing, say
from bench.rig.sides import Side
from bench.rig.stages import STAGES, durations, marks
from bench.rig.statistics import phases

REPETITIONS = 10
QUEUE_SECONDS = 5
"""Stock Dagster's longest wait for the queue: runs are launched at every phase of it alike."""


def main() -> None:
    """Measure, print the tables, and write bench/results/launch.json."""
    machine = host.description()
    stock, slipway, containers = session.sides()
    count = session.repetitions(REPETITIONS)
    pair: list[Side] = [stock, slipway]
    for side in pair:
        doing(f"warm-up: {side.name}")
        launched(side, containers)
    waits = phases(count, random.Random(1))
    runs: dict[str, list[dict[str, float]]] = {side.name: [] for side in pair}
    loops = []
    for number, wait in enumerate(waits):
        for side in pair if number % 2 == 0 else reversed(pair):
            loops.append(host.fixed_loop())
            doing(f"launch {number + 1} of {count}: {side.name}")
            time.sleep(wait * QUEUE_SECONDS)
            seen = launched(side, containers)
            runs[side.name].append(seen)
            say(f"launch {number + 1} of {count}: {side.name} {seen['ended'] - seen['requested']:.2f} s")
    totals = {name: [seen["ended"] - seen["requested"] for seen in of] for name, of in runs.items()}
    stages = {name: [durations(seen) for seen in of] for name, of in runs.items()}
    parts = (
        host.sentence(machine),
        report.samples(totals, stock.name),
        report.breakdown(stages, [name for name, _, _ in STAGES]),
        report.machine(loops),
    )
    report.publish("launch", "\n\n".join(parts))
    result: dict[str, Any] = {
        "machine": machine,
        "loops": [asdict(loop) for loop in loops],
        "totals": totals,
        "stages": stages,
    }
    say(f"written: {report.save('launch', result)}")


def launched(side: Side, containers: Containers) -> dict[str, float]:
    """Launch the trivial job; when it passed each mark, in seconds since the epoch."""
    requested = time.time()
    run_id = side.launch("trivial")
    seen = {"requested": requested, **marks(side.succeeded(run_id)), **containers.marks(run_id)}
    containers.check_limits(run_id)
    return seen


if __name__ == "__main__":
    main()
