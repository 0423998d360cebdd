"""The machine that a benchmark runs on: what it is, and how quiet."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.rig.statistics import Loop

ROUNDS = 3_000_000


def fixed_loop() -> Loop:
    """What a fixed amount of work takes now; on a busy machine it takes longer."""
    begin, begin_cpu = time.perf_counter(), time.thread_time()
    total = 0
    for number in range(ROUNDS):
        total += number & 7
    return Loop(time.perf_counter() - begin, time.thread_time() - begin_cpu)


def description() -> dict[str, str]:
    """What a reader must know to judge the numbers."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpus": str(os.cpu_count()),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "dagster": version("dagster"),
        "engine": _output("docker", "version", "--format", "{{.Server.Version}}"),
        "compose": _output("docker", "compose", "version", "--short"),
        "commit": _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
    }


def sentence(described: dict[str, str]) -> str:
    """The description in a line."""
    return (
        "{date}, commit {commit}: {cpus} cores ({cpu}), {memory}, Docker Engine {engine}, Compose {compose}, "
        "Dagster {dagster}; load before: {load}."
    ).format_map(described)


def _field(file: str, name: str) -> str:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "unknown")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
