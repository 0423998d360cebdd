"""Ends the platform's processes, in order, when the process that started them ends or asks for it.

    python -m slipway.ops.processes.watchdog STATE

Standard input is a pipe of which `slipway` alone holds the other end: it closes when `slipway` closes it, and when
`slipway` dies, by whatever signal and on whatever system. So there is one way in which everything ends. Each line
tells of a process (`+ NAME PID SIGNAL`) or that one is gone (`- NAME`).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.launch import process, processes

GRACE_SECONDS = 8.0
"""Between a service's stop signal and SIGKILL."""

KEEPER = "storage-keeper"
"""Saves the S3 when it is asked to end, so it takes its time and needs S3."""

KEEPER_SECONDS = 120.0

STORES = ("postgres", "s3")
"""What runs and the keeper stand on."""


@dataclass(frozen=True)
class Child:
    """A running service, told from a later process with the same pid. It leads a process group."""

    pid: int
    incarnation: str
    stop_signal: signal.Signals


def note(children: dict[str, Child], line: str) -> None:
    """Take over what a line tells."""
    match line.split():
        case ["+", name, pid, number]:
            incarnation = processes.started(int(pid))
            if incarnation is not None:
                children[name] = Child(int(pid), incarnation, signal.Signals(int(number)))
        case ["-", name]:
            children.pop(name, None)


def end(children: Sequence[Child], grace: float = GRACE_SECONDS) -> None:
    """Ask all of them to end, then kill what is left of their groups after `grace` seconds."""
    for child in children:
        if processes.is_alive(child.pid, child.incarnation):
            processes.send(child.pid, child.stop_signal)
    for child in children:
        processes.wait_gone(child.pid, child.incarnation, grace)
        # While a group has members, no later process gets its number; one that did is none of ours.
        if processes.started(child.pid) in (None, child.incarnation):
            processes.kill_group(child.pid)


def end_all(children: dict[str, Child], state: Path) -> None:
    """End what may launch runs, the runs, and then what they stand on."""
    end([child for name, child in children.items() if name not in (KEEPER, *STORES)])
    process.clear(state)
    end([child for name, child in children.items() if name == KEEPER], KEEPER_SECONDS)
    end([child for name, child in children.items() if name in STORES])


def main(state: Path) -> None:
    """Watch until the pipe closes."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # A terminal's signals reach `slipway`, which then closes the pipe.
        signal.signal(number, signal.SIG_IGN)
    children: dict[str, Child] = {}
    for line in sys.stdin:
        note(children, line)
    end_all(children, state)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
