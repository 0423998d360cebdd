"""Runs with captured output in a process of their own, and S3s that fail in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dagster import DagsterInstance, DagsterRun
from dagster._core.events import ComputeLogsCaptureData, DagsterEventType
from dagster._core.storage.compute_log_manager import ComputeIOType

import platform_home
from slipway.aws import s3_client
from slipway.config.connections import S3Settings
from slipway.config.loader import parse
from slipway.logs.manager import SlipwayComputeLogManager
from slipway.logs.settings import log_settings
from waiting import until

JOBS = Path(__file__).with_name("captured_jobs.py")


@dataclass
class Platform:
    """A platform of one test, and what another container of it would see."""

    env: dict[str, str] = field(repr=False)
    folder: Path
    bucket: str
    settings: S3Settings

    def manager(self, env: Mapping[str, str] | None = None) -> SlipwayComputeLogManager:
        """The manager of a process in another container: its local folder is its own."""
        elsewhere = {
            **(env or self.env),
            "SLIPWAY_RUNTIME": "process",
            "SLIPWAY_STATE": str(self.folder / "elsewhere"),
        }
        platform = parse((self.folder / "platform.yaml").read_text(), "platform.yaml")
        return SlipwayComputeLogManager(log_settings(platform, elsewhere))

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        with platform_home.instance(self.env) as instance:
            yield instance

    def start(self, job: str, **env: str) -> Run:
        log = (self.folder / f"{uuid.uuid4().hex}.output").open("w+b")
        process = subprocess.Popen(
            [sys.executable, str(JOBS), job],
            env={**self.env, "HANDSHAKE": str(self.folder), **env},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return Run(self, process, Path(log.name))

    def run(self, job: str, **env: str) -> Run:
        run = self.start(job, **env)
        run.wait()
        return run

    def objects(self) -> dict[str, bytes]:
        client = s3_client(self.settings)
        listing = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {
            entry["Key"]: client.get_object(Bucket=self.bucket, Key=entry["Key"])["Body"].read()
            for entry in listing
        }

    def create_bucket(self) -> None:
        s3_client(self.settings).create_bucket(Bucket=self.bucket)


@dataclass
class Run:
    """A run in a process of its own."""

    platform: Platform
    process: subprocess.Popen[bytes]
    output_file: Path

    @property
    def output(self) -> str:
        """What the process printed to its own output."""
        return self.output_file.read_text()

    def wait(self) -> int:
        try:
            return self.process.wait(120)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to all of the run's processes, as a container's end does it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def reached(self, name: str) -> None:
        until(
            (self.platform.folder / f"{name}.reached").exists, 60, f"the step reaches {name}\n{self.output}"
        )

    def go(self, name: str) -> None:
        (self.platform.folder / name).touch()

    def record(self, instance: DagsterInstance) -> DagsterRun:
        (run,) = instance.get_runs()
        return run

    def captures(self) -> list[tuple[list[str], list[str]]]:
        """Step keys and log key of each capture, in the order of their start."""
        with self.platform.instance() as instance:
            run = self.record(instance)
            found = []
            for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.LOGS_CAPTURED):
                event = entry.get_dagster_event()
                data = event.event_specific_data
                assert isinstance(data, ComputeLogsCaptureData)
                found.append((data.step_keys or [], [run.run_id, "compute_logs", data.file_key]))
            return found

    def events(self) -> list[str]:
        """The run's engine events, with their errors."""
        with self.platform.instance() as instance:
            run = self.record(instance)
            return [entry.to_json() for entry in instance.all_logs(run.run_id)]

    def seconds_after_last_step(self) -> float:
        """How long the run took to end after its last step had succeeded."""
        with self.platform.instance() as instance:
            (record,) = instance.get_run_records()
            assert record.end_time is not None
            steps = instance.all_logs(record.dagster_run.run_id, of_type=DagsterEventType.STEP_SUCCESS)
            return record.end_time - max(entry.timestamp for entry in steps)


def text(manager: SlipwayComputeLogManager, log_key: list[str], io_type: ComputeIOType) -> str:
    """All of a log."""
    data, _ = manager.get_log_data_for_type(log_key, io_type, 0, None)
    return (data or b"").decode()


class Forbidding(ThreadingHTTPServer):
    """An S3 that knows who asks and permits nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        self.authorizations: list[str] = []
        super().__init__(("127.0.0.1", 0), _Forbid)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Forbid(BaseHTTPRequestHandler):
    server: Forbidding

    def _answer(self) -> None:
        self.server.authorizations.append(self.headers.get("Authorization", ""))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


def create(env: Mapping[str, str], settings: S3Settings, folder: Path) -> Platform:
    bucket = f"logs-{uuid.uuid4().hex}"
    text = f"observability: {{compute_logs: {{bucket: {bucket}, prefix: some/logs/, upload_interval: 1}}}}\n"
    return Platform(
        {**platform_home.environment(folder, text, env), "SLIPWAY_SCRATCH": str(folder / "scratch")},
        folder,
        bucket,
        settings,
    )
