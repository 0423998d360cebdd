"""Brings the whole platform up as processes of this machine."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import grpc
import psycopg2

from slipway.config.connections import postgres_url, resolve
from slipway.config.errors import UserError
from slipway.config.loader import load
from slipway.config.model import Reference
from slipway.embedded import child
from slipway.embedded.postgres import EmbeddedPostgres
from slipway.embedded.s3 import REGION, EmbeddedS3
from slipway.embedded.service import EmbeddedService, EmbeddedServiceError, free_port
from slipway.launch import process
from slipway.launch.environment import BUNDLED, ambient_aws, location_environment, portable_platform
from slipway.ops import workspace
from slipway.ops.processes import environments, ports, watchdog
from slipway.ops.processes.ending import Ending
from slipway.ops.processes.state import State
from slipway.ops.processes.supervisor import Report, Service, Supervisor
from slipway.ops.running import UI_URL
from slipway.ops.storages import any_is_bundled

SLIPWAY = Path(sys.executable).with_name("slipway")


class Laptop:
    """The platform as processes. `start` brings it up, `keep` holds it up, leaving the context ends it."""

    def __init__(
        self,
        platform_file: Path,
        state: State,
        port: int,
        report: Report,
        ending: Ending,
        *,
        fresh: bool,
        keep: bool,
    ) -> None:
        """Nothing runs yet.

        Args:
            platform_file: platform.yaml, with dagster.yaml beside it.
            state: where everything is kept.
            port: of the UI; 0 for a free one.
            report: told what is under way.
            ending: says when to stop waiting.
            fresh: forget what the state folder holds.
            keep: save the embedded S3 at the end, for the next start.

        Raises:
            UserError: platform.yaml has errors, the port is in use, or the state folder is, or not ours to clear.
        """
        self.platform = load(platform_file)
        self.state = state
        self._file = platform_file.absolute()
        self._report = report
        self._ending = ending
        self._fresh = fresh
        self._keep = keep
        self._instance_file = self._file.with_name("dagster.yaml")
        if not self._instance_file.exists():
            raise UserError(
                f"{self._instance_file} is missing; it belongs beside {platform_file.name}",
                "take dagster.yaml as Slipway brings it",
            )
        self._environments = self._choose_environments()
        self._port = ports.ui_port(port)
        if fresh:
            state.check_clearable()
        self._lock = state.hold()
        self._supervisor: Supervisor | None = None
        self.env = self._base_environment()
        """Environment of the platform's services, complete once `start` is done."""

    @property
    def url(self) -> str:
        """Address of the UI."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        """Take over what an earlier one left, and be ready to end all that is started from here on."""
        process.clear(self.state.folder)
        if self._fresh:
            self.state.clear()
        self._prepare_folders()
        self._supervisor = Supervisor(self.state, self._lock, self._report, self._ending.pause)
        return self

    def __exit__(self, *exception: object) -> None:
        """End every process, in order."""
        self._running.end()

    @property
    def _running(self) -> Supervisor:
        assert self._supervisor is not None
        return self._supervisor

    def keep(self) -> None:
        """Restart what crashed; call it a few times a second while the platform is up. Raises Ended."""
        self._running.check()
        self._ending.pause()

    def start(self) -> None:
        """Bring everything up, in the order in which one thing needs another.

        Raises:
            UserError: a service did not come up; the message has the end of its log.
            Ended: a signal came meanwhile.
        """
        running = self._running
        if self._environments:
            self._start("environments", environments.command(self._environments), self.env)
        self._start_bundled()
        self._report("preparing database, buckets, queues and lake; environments of the code locations")
        self._write_environment_file()
        self._start("bootstrap", [str(SLIPWAY), "bootstrap"], self.env)
        if self._environments:
            running.finish("environments")
        addresses = {name: free_port() for name in self.platform.code_locations}
        workspace.address_file(self.state.folder).write_text(json.dumps(addresses))
        for target in self._environments:
            self._start_code_server(target, addresses[target.name])
        self._bootstrapped()
        self._report("starting " + ", ".join(["webserver", "daemon", *map(code_server, addresses)]))
        running.wait(*map(code_server, addresses))
        self._start(
            "webserver", [str(SLIPWAY), "webserver", "--port", str(self._port)], self.env, self._ui_answers
        )
        self._start("daemon", [str(SLIPWAY), "daemon"], self.env, self._daemon_beats(self._last_beat()))
        running.wait("webserver", "daemon")

    @property
    def environment_file(self) -> Path:
        """A file for `.` of a shell, which then has the addresses and credentials of this platform."""
        return self.state.folder / "env"

    def begin(self, name: str, command: list[str]) -> None:
        """Start a program that does some work beside and ends; `finish` waits for it."""
        self._start(name, command, self.env)

    def finish(self, name: str) -> None:
        """Wait for a program that `begin` started. Raises UserError when it failed."""
        self._running.finish(name)

    def runs(self) -> dict[str, str]:
        """Status of each run, by id, the newest first."""
        query = "{ runsOrError { ... on Runs { results { runId status } } } }"
        return {run["runId"]: run["status"] for run in self._ask(query)["runsOrError"]["results"]}

    def failure(self) -> str:
        """The errors of the newest run that failed."""
        run_id = next(run_id for run_id, status in self.runs().items() if status == "FAILURE")
        error = "error { message causes { message } }"
        events = (
            f"... on ExecutionStepFailureEvent {{ {error} }} ... on RunFailureEvent {{ message {error} }}"
        )
        query = (
            f'{{ logsForRun(runId: "{run_id}") {{ ... on EventConnection {{ events {{ {events} }} }} }} }}'
        )
        return f"{run_id}\n" + "\n".join(_messages(self._ask(query)["logsForRun"]["events"]))

    def broken_locations(self) -> dict[str, str]:
        """Code locations that the webserver could not load, with the error."""
        query = "{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { ... on PythonError { message } } } } } }"
        entries = self._ask(query)["workspaceOrError"]["locationEntries"]
        loaded = {entry["name"]: entry["locationOrLoadError"] or {} for entry in entries}
        return {name: error["message"] for name, error in loaded.items() if "message" in error}

    def _choose_environments(self) -> list[environments.Environment]:
        targets = [
            environments.environment(
                name, location, self._file.parent / location.path, self.state.environments
            )
            for name, location in self.platform.code_locations.items()
        ]
        for target in targets:
            if target.choice.remark:
                self._report(target.choice.remark)
        return targets

    def _prepare_folders(self) -> None:
        for folder in (self.state.home, self.state.logs, self._temporary):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._instance_file, self.state.home / "dagster.yaml")

    @property
    def _temporary(self) -> Path:
        return self.state.folder / "tmp"

    def _base_environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SLIPWAY_RUNTIME": "process",
            "SLIPWAY_PLATFORM": str(self._file),
            "SLIPWAY_STATE": str(self.state.folder),
            "DAGSTER_HOME": str(self.state.home),
            UI_URL: self.url,
            "TMPDIR": str(self._temporary),
            "PYTHONUNBUFFERED": "1",
        }

    def _start_bundled(self) -> None:
        """Start the Postgres and the S3 that platform.yaml leaves to the runtime, and note their addresses."""
        services: list[EmbeddedService] = []
        if self.platform.postgres.is_bundled:
            postgres = EmbeddedPostgres(self.state.postgres)
            self._start_embedded(postgres)
            self.env["SLIPWAY_POSTGRES_URL"] = postgres.url
            services.append(postgres)
        if any_is_bundled(self.platform):
            s3 = EmbeddedS3(self.state.s3)
            self._start_embedded(s3)
            self.env |= {
                "SLIPWAY_S3_ENDPOINT": s3.endpoint,
                "SLIPWAY_S3_PUBLIC_ENDPOINT": s3.endpoint,
                "SLIPWAY_S3_ACCESS_KEY_ID": s3.access_key_id,
                "SLIPWAY_S3_SECRET_ACCESS_KEY": s3.secret_access_key,
            }
            services.append(s3)
        if services:
            self._report("starting " + " and ".join(service.name for service in services))
            self._running.wait(*(service.name for service in services))
        if any_is_bundled(self.platform) and self._keep:
            self._start_keeper()

    def _write_environment_file(self) -> None:
        named = {
            name: self.env[name]
            for name in (
                "SLIPWAY_RUNTIME",
                "SLIPWAY_PLATFORM",
                "SLIPWAY_STATE",
                "DAGSTER_HOME",
                UI_URL,
                *BUNDLED,
            )
            if name in self.env
        }
        if "SLIPWAY_S3_ENDPOINT" in named:
            named |= {
                "AWS_ENDPOINT_URL": named["SLIPWAY_S3_ENDPOINT"],
                "AWS_ACCESS_KEY_ID": named["SLIPWAY_S3_ACCESS_KEY_ID"],
                "AWS_SECRET_ACCESS_KEY": named["SLIPWAY_S3_SECRET_ACCESS_KEY"],
                "AWS_DEFAULT_REGION": REGION,
            }
        self.environment_file.unlink(missing_ok=True)
        self.environment_file.touch(mode=0o600)
        self.environment_file.write_text(
            "".join(f"export {name}={shlex.quote(value)}\n" for name, value in named.items())
        )

    def _start_keeper(self) -> None:
        """The embedded S3 forgets everything when it ends; the keeper saves it before and restores it after."""
        snapshots = self.state.s3 / "snapshots"
        snapshots.mkdir(exist_ok=True)
        status = self._temporary / "storage-keeper.status"
        status.unlink(missing_ok=True)
        command = [str(SLIPWAY), watchdog.KEEPER, "--folder", str(snapshots), "--status", str(status)]
        self._start(
            watchdog.KEEPER, command, self.env, lambda: status.exists() and status.read_text() == "ok"
        )
        self._running.wait(watchdog.KEEPER)

    def _bootstrapped(self) -> None:
        """Wait for the bootstrap; where storage and database do not fit, the way out is one of this runtime."""
        try:
            self._running.finish("bootstrap")
        except UserError as error:
            raise UserError(
                error.message,
                f"{error.hint}; to begin anew with empty storage and database, whatever the reason: slipway up --fresh",
            ) from error

    def _start_embedded(self, service: EmbeddedService) -> None:
        def prepare() -> None:
            try:
                service.prepare()
            except EmbeddedServiceError as error:
                raise UserError(str(error)) from error

        self._running.start(
            Service(
                name=service.name,
                command=service.command(),
                environment={**service.environment(), "TMPDIR": str(self._temporary)},
                folder=Path("/"),
                ready=service.ready,
                stop_signal=service.stop_signal,
                prepare=prepare,
            )
        )

    def _start(
        self, name: str, command: list[str], env: Mapping[str, str], ready: Callable[[], bool] = lambda: False
    ) -> None:
        # Paths in platform.yaml, such as those of file references, are relative to it.
        self._running.start(Service(name, child.command(command), env, self._file.parent, ready))

    def _start_code_server(self, target: environments.Environment, port: int) -> None:
        options = ["--host", "127.0.0.1", "--port", str(port)]
        command = [str(target.python), "-m", "slipway.code_server", *options]
        self._running.start(
            Service(
                name=code_server(target.name),
                command=child.command(command),
                environment=self._location_environment(target),
                folder=target.project,
                ready=lambda: _pings(port),
            )
        )

    def _resolve(self, reference: Reference) -> str:
        return resolve(reference, self.env)

    def _location_environment(self, target: environments.Environment) -> dict[str, str]:
        """What a code server sees: its own location's variables and none of another's, nor the user's secrets."""
        inline, secrets = portable_platform(self.platform, self._resolve)
        inherited = {
            name: self.env[name]
            for name in (*process.INHERITED, *BUNDLED, "SLIPWAY_RUNTIME", "SLIPWAY_STATE", "TMPDIR")
            if name in self.env
        }
        return {
            **inherited,
            **ambient_aws(self.platform, self.env),
            **location_environment(self.platform, target.name, self._resolve),
            **secrets,
            "PATH": f"{target.python.parent}{os.pathsep}{inherited.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            "SLIPWAY_LOCATION": target.name,
            "SLIPWAY_PLATFORM_JSON": inline,
        }

    def _ui_answers(self) -> bool:
        try:
            return "version" in self._ask("{ version }")
        except (urllib.error.URLError, OSError):
            return False

    def _ask(self, query: str) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own webserver
            f"{self.url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own webserver
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def _last_beat(self) -> Any:
        with (
            psycopg2.connect(postgres_url(self.platform, self.env)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT max(timestamp) FROM daemon_heartbeats")
            row = cursor.fetchone()
        connection.close()
        return row[0] if row else None

    def _daemon_beats(self, before: Any) -> Callable[[], bool]:
        return lambda: self._last_beat() != before


def code_server(location: str) -> str:
    """Name of a location's code server among the services."""
    return f"code-{location.replace('_', '-')}"


def _messages(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        error = event.get("error")
        if error is not None:
            yield from (cause["message"].strip() for cause in (error, *error["causes"]))
        elif "message" in event:
            yield event["message"]


def _pings(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary("/api.DagsterApi/Ping")(b"", timeout=2)
        except grpc.RpcError:
            return False
    return True
