"""`slipway up` and `slipway demo` as a user runs them, and what they leave behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from waiting import until

ROOT = Path(__file__).resolve().parent.parent
SLIPWAY = Path(sys.executable).with_name("slipway")

OURS = re.compile(r"slipway|dagster|postgres|pgsql|pgserver|moto|lockfile|compute-logs|duckdb", re.IGNORECASE)
"""What of ours a shared folder such as /tmp could hold; other programs make files there too."""


def state_environment(state: Path, **more: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    return {**env, "SLIPWAY_STATE": str(state), **more}


@dataclass(frozen=True)
class Ground:
    """The machine around a state folder, before."""

    parents: dict[Path, tuple[int, int, int]]
    users: str
    shared: set[str]

    @classmethod
    def look(cls, folder: Path) -> Ground:
        return cls(_modes(folder), Path("/etc/passwd").read_text(), _shared())

    def changes(self) -> list[str]:
        """What is not as it was."""
        nearest = max(self.parents, key=lambda path: len(path.parts))
        changed = [str(path) for path, mode in _modes(nearest).items() if self.parents[path] != mode]
        if Path("/etc/passwd").read_text() != self.users:
            changed.append("/etc/passwd")
        return changed + sorted(_shared() - self.shared)

    @staticmethod
    def processes_of(state: Path) -> list[str]:
        """Processes that name the state folder in their command line or environment."""
        return [" ".join(process.cmdline()) for process in _of(state)]


def _of(state: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                said = [*process.cmdline(), *process.environ().values()]
                if any(str(state) in text for text in said):
                    yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _modes(folder: Path) -> dict[Path, tuple[int, int, int]]:
    found = {path: path.stat() for path in (folder, *folder.parents)}
    return {path: (stat.st_mode, stat.st_uid, stat.st_gid) for path, stat in found.items()}


def _shared() -> set[str]:
    return {
        str(path)
        for folder in ("/tmp", "/dev/shm", "/var/tmp")
        for path in Path(folder).glob("*")
        if OURS.search(path.name)
    }


@dataclass
class Up:
    """A running `slipway`, with all that it started."""

    process: subprocess.Popen[str]
    state: Path
    log: Path
    known: dict[int, psutil.Process] = field(default_factory=dict)

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, seconds: float = 120) -> None:
        until(lambda: text in self.output or self.process.poll() is not None, seconds, text)
        assert text in self.output, self.output

    def note(self) -> list[int]:
        """Take down all processes as they are now; the ports that they listen on."""
        parent = psutil.Process(self.process.pid)
        everyone = [parent, *parent.children(recursive=True), *_of(self.state)]
        self.known |= {process.pid: process for process in everyone}
        ports = []
        for process in everyone:
            # A short-lived one may be gone by now.
            with suppress(psutil.NoSuchProcess):
                connections = process.net_connections(kind="inet")
                ports += [one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN]
        return sorted(set(ports))

    def of(self, text: str) -> psutil.Process:
        """The process that has a text in its command line."""
        return next(process for process in _of(self.state) if text in " ".join(process.cmdline()))

    def left(self) -> list[str]:
        """Processes of those noted, or of this state folder, that still live."""
        alive = [
            process
            for process in self.known.values()
            if process.is_running() and process.status() != "zombie"
        ]
        return [f"{process.pid} {process.name()}" for process in [*alive, *_of(self.state)]]

    def assert_gone(self, ports: list[int], seconds: float = 60) -> None:
        until(lambda: not self._left_safely(), seconds, "every process is gone")
        assert [port for port in ports if listens(port)] == []

    def _left_safely(self) -> list[str]:
        try:
            return self.left()
        except psutil.NoSuchProcess:
            return ["one that is just going"]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def slipway(
    *arguments: str, state: Path, cwd: Path, log: Path, command: list[str] | None = None
) -> Iterator[Up]:
    """Run `slipway` in a session of its own, as a terminal would; whatever it left is killed in the end."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command or [str(SLIPWAY), *arguments],
            cwd=cwd,
            env=state_environment(state, SLIPWAY_UI_PORT="0"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        )
    up = Up(process, state, log)
    try:
        yield up
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for leftover in _of(state):
            leftover.kill()
