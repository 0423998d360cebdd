"""Processes by pid, told apart from later ones with the same number, on Linux and macOS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

LINUX: bool = sys.platform == "linux"


def started(pid: int) -> str | None:
    """A text that only this incarnation of the pid has; None when no such process lives (a zombie does not)."""
    if LINUX:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name, in parentheses, may hold anything; the state is the first field after it.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, since = answer.stdout.strip().partition(" ")
    return since.strip() if since and not state.startswith("Z") else None


def is_alive(pid: int, incarnation: str) -> bool:
    """Whether the process that had this pid then still lives."""
    return started(pid) == incarnation


def wait_gone(pid: int, incarnation: str, seconds: float) -> bool:
    """Wait until the process is gone; False when it still lives after so many seconds."""
    deadline = time.monotonic() + seconds
    while is_alive(pid, incarnation):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def send(pid: int, signum: signal.Signals) -> None:
    """Signal one process; one that is gone already is no error."""
    with suppress(ProcessLookupError):
        os.kill(pid, signum)


def kill_group(pgid: int) -> None:
    """Kill what is left of a process group; macOS says EPERM when only zombies are."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, signal.SIGKILL)
