"""What the embedded services have in common: a child process on a free port of 127.0.0.1, with a log."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self


class EmbeddedServiceError(RuntimeError):
    """An embedded service did not start; the message ends with the last lines of its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, or a remark that there is none."""
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").rstrip().splitlines()
        if lines:
            return "\n".join(lines[-count:])
    return "(it wrote no log)"


class EmbeddedService(ABC):
    """A service that this machine has no other copy of. `start` and `stop` run it as a child of the caller;
    a supervisor that restarts its children takes `prepare`, `command`, `environment` and `ready` instead.

    Everything it writes is below `folder`. The port is chosen once, so that it keeps its address over a restart.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where the service's own output goes when `start` runs it."""
        return self.folder / f"{self.name}.log"

    @abstractmethod
    def prepare(self) -> None:
        """Make the folder ready for a start; does nothing to one that is. Raises EmbeddedServiceError."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line of the service."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """The complete environment of the service."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether the service answers a real request now."""

    def start(self, timeout: float = 60) -> Self:
        """Start the service and wait until it answers. `timeout` in seconds; raises EmbeddedServiceError."""
        self.prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while not self.ready():
            if self._process.poll() is not None:
                raise EmbeddedServiceError(f"{self.name} ended at start:\n{last_lines(self.log)}")
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedServiceError(
                    f"{self.name} did not answer in {timeout:.0f} s:\n{last_lines(self.log)}"
                )
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """Stop the service and wait until it is gone; does nothing when it does not run."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> Self:
        """Start the service."""
        return self.start()

    def __exit__(self, *exception: object) -> None:
        """Stop the service."""
        self.stop()
