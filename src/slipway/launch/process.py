"""Run workers as processes of this machine, for a laptop.

Each run is a session of its own with a record `<state>/runs/<run id>.json`, so that any process of the
platform (the daemon that launched it, a later one, the webserver, the supervisor) can find and end it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from slipway.config import duckdb_file
from slipway.config.errors import UserError
from slipway.launch import cgroup, processes
from slipway.launch.adapter import (
    LOG_LINES,
    STOP_GRACE_SECONDS,
    Host,
    Phase,
    Surroundings,
    WorkerState,
    WorkOrder,
)
from slipway.launch.local import LocalAdapter, plain

INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "DAGSTER_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
"""What a run sees of the machine: its paths, language and way to the network, and none of its secrets."""

CLEAR_GRACE_SECONDS = 3.0


@dataclass(frozen=True)
class Record:
    """What is known of a run's process, on disk."""

    run_id: str
    location: str
    launcher_pid: int
    launcher_started: str
    pid: int | None
    """The worker's; None while its launcher is about to start it."""
    started: str | None
    """Tells this incarnation of the pid from another."""
    scratch: str
    group: dict[str, Any] | None
    """The run's cgroup: version and folders; None where none is writable."""

    @property
    def cgroup(self) -> cgroup.Group | None:
        """The run's cgroup."""
        if self.group is None:
            return None
        cpu = self.group["cpu"]
        return cgroup.Group(self.group["version"], Path(self.group["memory"]), Path(cpu) if cpu else None)

    @property
    def is_alive(self) -> bool:
        """Whether the worker lives, or whoever is about to start it."""
        if self.pid is None:
            return processes.is_alive(self.launcher_pid, self.launcher_started)
        return self.started is not None and processes.is_alive(self.pid, self.started)

    def ask_to_end(self) -> None:
        """SIGTERM to the worker, which ends its children in order."""
        if self.pid is not None and self.is_alive:
            processes.send(self.pid, signal.SIGTERM)

    def wait_gone(self, seconds: float) -> None:
        """Wait for the worker's end, so many seconds at most."""
        if self.pid is not None and self.started is not None:
            processes.wait_gone(self.pid, self.started, seconds)

    def kill(self) -> None:
        """SIGKILL to all that is left of the run."""
        if self.pid is not None:
            # A pid that was given to another process since is nobody of ours; its group id is not ours either.
            current = processes.started(self.pid)
            if current is None or current == self.started:
                processes.kill_group(self.pid)
        if self.cgroup is not None:
            for pid in self.cgroup.members():
                with suppress(PermissionError):
                    processes.send(pid, signal.SIGKILL)


class Records:
    """The folder `<state>/runs`."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "runs"

    def path(self, run_id: str) -> Path:
        """The file of a run."""
        return self.folder / f"{run_id}.json"

    def log(self, run_id: str) -> Path:
        """What the run's worker itself wrote to its output."""
        return self.folder / f"{run_id}.log"

    def scratch(self, run_id: str) -> Path:
        """The run's scratch folder."""
        return self.folder / f"{run_id}.scratch"

    def read(self, run_id: str) -> Record | None:
        """The record of a run, None when there is none."""
        try:
            return Record(**json.loads(self.path(run_id).read_text()))
        except FileNotFoundError:
            return None

    def write(self, record: Record) -> None:
        """Write a record whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.path(record.run_id).with_suffix(".draft")
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(self.path(record.run_id))

    def run_ids(self) -> list[str]:
        """The runs that have a record."""
        return [path.stem for path in self.folder.glob("*.json")]

    def remove(self, record: Record) -> None:
        """Remove all that a run whose processes are gone left behind."""
        if record.cgroup is not None:
            record.cgroup.remove()
        shutil.rmtree(record.scratch, ignore_errors=True)
        self.log(record.run_id).unlink(missing_ok=True)
        self.path(record.run_id).unlink(missing_ok=True)


class ProcessAdapter(LocalAdapter):
    """Processes on this machine, with their records in the state folder."""

    def __init__(self, state: Path, env: Mapping[str, str], on_exit: Callable[[str], None]) -> None:
        """Nothing is started yet.

        Args:
            state: the state folder.
            env: the launcher's own environment.
            on_exit: called with a run's id when a worker that this adapter started ended.
        """
        super().__init__(env)
        self._records = Records(state)
        self._on_exit = on_exit
        self._exit_codes: dict[str, int] = {}

    def host(self) -> Host:
        """This machine's CPUs that this process may use, and its memory."""
        return Host(_cpus(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))

    def surroundings(self, run_id: str, location: str) -> Surroundings:
        """Some of the launcher's own environment, and folders in the state folder.

        That of a location's DuckDB file outlives its runs.
        """
        state = self._records.folder.parent
        inherited = {name: self._env[name] for name in INHERITED if name in self._env}
        return Surroundings(
            runtime="process",
            scratch=self.scratch(run_id),
            duckdb_folder=str(state / "duckdb" / location),
            base={**inherited, "SLIPWAY_STATE": str(state)},
            bundled=self._bundled,
            aws=self._aws,
        )

    def scratch(self, run_id: str) -> str:
        """A folder of the run's own, beside its record."""
        return str(self._records.scratch(run_id))

    def accounts(self) -> bool:
        """Where a control group can be made for each run."""
        return _hierarchy() is not None

    def start(self, order: WorkOrder) -> str:
        """Start the process, in its cgroup where there is one."""
        before = self._records.read(order.run_id)
        if before is not None and (before.pid is not None or before.is_alive):
            return f"nothing: process {before.pid} was launched before"
        # What a launcher left that died before it had started anything.
        self.remove(order.run_id)
        if not Path(order.python).exists():
            raise UserError(
                f"the interpreter of code location '{order.location}', {order.python}, is not there",
                "restart `slipway up`: it makes the environments of code locations again",
            )
        if not order.folder.is_dir():
            raise UserError(f"the folder of code location '{order.location}', {order.folder}, is not there")
        group = self._group(order)
        # Written before anything is made: a launcher that is killed here leaves nothing that nobody knows of.
        record = Record(
            run_id=order.run_id,
            location=order.location,
            launcher_pid=os.getpid(),
            launcher_started=processes.started(os.getpid()) or "",
            pid=None,
            started=None,
            scratch=self.scratch(order.run_id),
            group=None if group is None else _group_as_json(group),
        )
        self._records.write(record)
        try:
            process = self._spawn(order, group)
        except BaseException:
            self._records.remove(record)
            raise
        self._records.write(
            replace(record, pid=process.pid, started=processes.started(process.pid) or "ended at once")
        )
        threading.Thread(target=self._reap, args=(order.run_id, process), daemon=True).start()
        return f"process {process.pid}"

    def _group(self, order: WorkOrder) -> cgroup.Group | None:
        hierarchy = _hierarchy()
        return None if hierarchy is None else cgroup.group(hierarchy, order.run_id)

    def _spawn(self, order: WorkOrder, group: cgroup.Group | None) -> subprocess.Popen[bytes]:
        env = plain(order.env)
        Path(env["SLIPWAY_SCRATCH"]).mkdir(mode=0o700, exist_ok=True)
        if order.has_duckdb_file:
            Path(env[duckdb_file.VARIABLE]).parent.mkdir(parents=True, exist_ok=True)
        path = f"{Path(order.python).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
        with self._records.log(order.run_id).open("wb") as output:
            return subprocess.Popen(
                [order.python, "-m", "slipway.worker", *self._limits(order, group), order.arguments],
                cwd=order.folder,
                env={**env, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _limits(self, order: WorkOrder, group: cgroup.Group | None) -> list[str]:
        limits = order.profile.limits
        if group is None:
            return ["--data-limit", str(limits.memory)] if processes.LINUX else []
        try:
            group.create(limits.memory, limits.cpu)
        except OSError as error:
            raise UserError(
                f"the limits of profile '{order.profile.name}' could not be set in {group.memory}: {error}"
            ) from error
        return [option for file in group.procs for option in ("--join", str(file))]

    def _reap(self, run_id: str, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        self._exit_codes[run_id] = code if code >= 0 else 128 - code
        self._on_exit(run_id)

    def state(self, run_id: str) -> WorkerState:
        """The process's state, and whether the kernel killed in its cgroup."""
        record = self._records.read(run_id)
        if record is None:
            return WorkerState(Phase.ABSENT)
        if record.pid is None:
            return WorkerState(Phase.WAITING)
        account = None if record.cgroup is None else record.cgroup.account
        out_of_memory = account is not None and account.kills() > 0
        if record.is_alive:
            return WorkerState(Phase.RUNNING, out_of_memory=out_of_memory)
        peak = None if account is None else account.peak()
        return WorkerState(Phase.EXITED, self._exit_codes.get(run_id), out_of_memory, peak)

    def logs(self, run_id: str) -> str:
        """The last lines of the process's output."""
        try:
            with self._records.log(run_id).open("rb") as output:
                output.seek(max(0, output.seek(0, os.SEEK_END) - 64 * 1024))
                lines = output.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-LOG_LINES:])

    def stop(self, run_id: str) -> bool:
        """Ask the worker to end; kill all of the run after the grace."""
        record = self._records.read(run_id)
        if record is None or record.pid is None or not record.is_alive:
            return False
        record.ask_to_end()
        record.wait_gone(STOP_GRACE_SECONDS)
        record.kill()
        return True

    def remove(self, run_id: str) -> None:
        """Remove scratch, cgroup, output and record; processes that outlive their worker are killed."""
        record = self._records.read(run_id)
        if record is not None:
            record.kill()
            self._records.remove(record)
        self._exit_codes.pop(run_id, None)

    def workers(self) -> Mapping[str, Phase]:
        """The runs that have a record, but those that somebody is about to start."""
        found = {run_id: self._records.read(run_id) for run_id in self._records.run_ids()}
        return {
            run_id: _phase(record)
            for run_id, record in found.items()
            if record is not None and not (record.pid is None and record.is_alive)
        }


def _phase(record: Record) -> Phase:
    if record.pid is None:
        return Phase.WAITING
    return Phase.RUNNING if record.is_alive else Phase.EXITED


def clear(state: Path) -> int:
    """End every recorded run of a platform that ends or has ended, with all it left; how many were running."""
    records = Records(state)
    found = [record for run_id in records.run_ids() if (record := records.read(run_id))]
    running = [record for record in found if record.pid is not None and record.is_alive]
    for record in running:
        record.ask_to_end()
    for record in running:
        record.wait_gone(CLEAR_GRACE_SECONDS)
    for record in found:
        record.kill()
        records.remove(record)
    shutil.rmtree(records.folder, ignore_errors=True)
    return len(running)


def describe_limit_mechanism() -> str:
    """One sentence on what holds the limits of runs on this machine."""
    hierarchy = _hierarchy()
    if hierarchy is not None:
        what = "memory and CPU" if hierarchy.cpu else "memory (not CPU)"
        return f"limits of runs: the kernel holds {what} in cgroups v{hierarchy.version}"
    if processes.LINUX:
        return (
            "limits of runs: no cgroup is writable here, so memory is limited per process (RLIMIT_DATA)"
            " and CPU only by DuckDB's threads"
        )
    return "limits of runs: this system holds none; DuckDB's own memory limit and threads apply"


@cache
def _hierarchy() -> cgroup.Hierarchy | None:
    return cgroup.writable()


def _cpus() -> Decimal:
    if processes.LINUX:
        return Decimal(len(os.sched_getaffinity(0)))
    return Decimal(os.cpu_count() or 1)


def _group_as_json(group: cgroup.Group) -> dict[str, Any]:
    return {
        "version": group.version,
        "memory": str(group.memory),
        "cpu": str(group.cpu) if group.cpu else None,
    }
