"""Starts services, restarts those that crash, and hands each to the watchdog, which ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from slipway.config.errors import UserError
from slipway.embedded.service import last_lines
from slipway.launch import processes
from slipway.ops.processes.state import State

Report = Callable[[str], None]
"""Takes one line for the user."""

BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Wait before the first, second, … restart in a row."""

STEADY_SECONDS = 60.0
"""A service that ran so long before it crashed starts again at the first wait."""

END_SECONDS = 180.0
"""Longest orderly end of everything."""


@dataclass(frozen=True)
class Service:
    """A program that runs as long as the platform does."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    ready: Callable[[], bool]
    """Whether it answers a real request."""
    stop_signal: signal.Signals = signal.SIGTERM
    prepare: Callable[[], None] | None = None
    """Called before each start."""


@dataclass
class _Running:
    service: Service
    process: subprocess.Popen[bytes]
    since: float
    crashes: int = 0
    restart_at: float | None = None
    """When to start it again; None while it runs."""


class Supervisor:
    """The services of one state folder. All calls come from one thread: on Linux the kernel ends a child when the
    thread that started it ends."""

    def __init__(self, state: State, lock: IO[str], report: Report, pause: Callable[[], None]) -> None:
        """Start the watchdog.

        Args:
            state: the state folder.
            lock: the open file by which this process holds it; the watchdog gets it too.
            report: told of crashes and restarts.
            pause: called while waiting, several times a second; may raise to end the waiting.
        """
        self._state = state
        self._lock = lock
        self._report = report
        self._pause = pause
        self._running: dict[str, _Running] = {}
        self._watchdog = self._start_watchdog()

    def log(self, name: str) -> Path:
        """The log of a service."""
        return self._state.logs / f"{name}.log"

    def start(self, service: Service) -> None:
        """Start a service with an empty log; `wait` waits for it."""
        self.log(service.name).unlink(missing_ok=True)
        self._running[service.name] = _Running(service, self._spawn(service), time.monotonic())

    def wait(self, *names: str, timeout: float = 90) -> None:
        """Wait until services answer. `timeout` in seconds.

        Raises:
            UserError: one ended or did not answer in time; the message has the last lines of its log.
        """
        deadline = time.monotonic() + timeout
        waiting = [self._running[name] for name in names]
        while waiting:
            for running in list(waiting):
                service = running.service
                code = running.process.poll()
                if code is not None:
                    raise UserError(
                        f"{service.name} ended at start, {_how(code)}:\n{self._tail(service.name)}",
                        self._where(service.name),
                    )
                if service.ready():
                    waiting.remove(running)
                elif time.monotonic() > deadline:
                    raise UserError(
                        f"{service.name} runs but did not answer in {timeout:.0f} s:\n{self._tail(service.name)}",
                        self._where(service.name),
                    )
            self._pause()

    def finish(self, name: str) -> None:
        """Wait for the end of a program that does not run on.

        Raises:
            UserError: it failed; the message has the last lines of its log.
        """
        process = self._running[name].process
        while process.poll() is None:
            self._pause()
        del self._running[name]
        processes.kill_group(process.pid)
        self._tell(f"- {name}")
        if process.returncode != 0:
            raise UserError(
                f"{name} failed, {_how(process.returncode)}:\n{self._tail(name)}", self._where(name)
            )

    def check(self) -> None:
        """Restart what crashed, when its wait is over; call this a few times a second."""
        if self._watchdog.poll() is not None:
            self._report("the watchdog was ended; started another")
            self._watchdog = self._start_watchdog()
            for name, running in self._running.items():
                self._tell(f"+ {name} {running.process.pid} {int(running.service.stop_signal)}")
        now = time.monotonic()
        for name, running in self._running.items():
            code = running.process.poll()
            if code is None:
                continue
            if running.restart_at is None:
                processes.kill_group(running.process.pid)
                self._tell(f"- {name}")
                running.crashes = 1 if now - running.since > STEADY_SECONDS else running.crashes + 1
                wait = BACKOFF_SECONDS[min(running.crashes, len(BACKOFF_SECONDS)) - 1]
                running.restart_at = now + wait
                self._report(
                    f"{name} ended, {_how(code)}; starting it again in {wait:.0f} s (log: {self.log(name)})"
                )
            elif now >= running.restart_at:
                running.process, running.since, running.restart_at = self._spawn(running.service), now, None
                self._report(f"{name} started again")

    def end(self) -> None:
        """End everything, in order, and wait until it is gone."""
        for _ in range(2):
            with suppress(BrokenPipeError):
                _pipe(self._watchdog).close()
            deadline = time.monotonic() + END_SECONDS
            while self._watchdog.poll() is None and time.monotonic() < deadline:
                for running in self._running.values():
                    running.process.poll()
                time.sleep(0.02)
            if self._watchdog.poll() == 0:
                break
            # The watchdog itself was killed: another one does the same.
            self._watchdog = self._start_watchdog()
            for name, running in self._running.items():
                self._tell(f"+ {name} {running.process.pid} {int(running.service.stop_signal)}")
        self._running.clear()
        self._lock.close()

    def _spawn(self, service: Service) -> subprocess.Popen[bytes]:
        if service.prepare is not None:
            service.prepare()
        self._state.logs.mkdir(parents=True, exist_ok=True)
        with self.log(service.name).open("ab") as log:
            process = subprocess.Popen(
                service.command,
                env=dict(service.environment),
                cwd=service.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._tell(f"+ {service.name} {process.pid} {int(service.stop_signal)}")
        return process

    def _start_watchdog(self) -> subprocess.Popen[bytes]:
        self._state.logs.mkdir(parents=True, exist_ok=True)
        with (self._state.logs / "watchdog.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "slipway.ops.processes.watchdog", str(self._state.folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # It holds the state folder until it is done, also when this process is gone.
                pass_fds=(self._lock.fileno(),),
                start_new_session=True,
                env={**os.environ},
            )

    def _tell(self, line: str) -> None:
        with suppress(BrokenPipeError):
            pipe = _pipe(self._watchdog)
            pipe.write(line.encode() + b"\n")
            pipe.flush()

    def _tail(self, name: str) -> str:
        return last_lines(self.log(name))

    def _where(self, name: str) -> str:
        return f"its whole log: {self.log(name)}"


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
