"""The two sides of the comparison: stock Dagster and Slipway, each a Compose project of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from bench.rig.failure import BenchmarkFailed
from bench.rig.progress import doing, say
from bench.rig.stages import Event
from slipway.aws import s3_client
from slipway.config.connections import S3Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
LOCATION = "bench"
TAG = "bench"
STOCK_IMAGE = f"slipway-bench/stock:{TAG}"
PLATFORM_IMAGE = "slipway/platform"
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Materialisation:
    """One materialisation of the landed file's asset."""

    run_id: str
    at: float
    """Seconds since the epoch."""


class Side:
    """A Dagster that runs in containers, seen from outside through its webserver and its S3."""

    bucket = "data-landing"
    prefix = ""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.project = f"bench-{name.split()[0].lower()}-{uuid.uuid4().hex[:8]}"
        self.ui_port, self.s3_port = _free_ports(2)

    # Its containers

    def environment(self) -> dict[str, str]:
        """What Compose needs to know."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Put the files together that Compose runs."""
        raise NotImplementedError

    def down(self) -> None:
        """Remove containers, those of runs too, volumes, networks and image names."""
        raise NotImplementedError

    def up(self) -> None:
        """Build, start, and wait until the code location is loaded.

        Raises:
            BenchmarkFailed: it does not come up.
        """
        doing(f"{self.name}: building the images")
        self.run("docker", "compose", "--progress", "plain", "build")
        doing(f"{self.name}: starting")
        self.run("docker", "compose", "up", "--detach", "--wait")
        self.until(self._is_loaded, 120, "the code location is not loaded")
        say(f"{self.name} is up: http://127.0.0.1:{self.ui_port}")

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in the side's folder; its output, errors included.

        Raises:
            BenchmarkFailed: it fails.
        """
        own = ("SLIPWAY_", "COMPOSE_", "BENCH_")
        base = {key: value for key, value in os.environ.items() if not key.startswith(own)}
        kept = ("SLIPWAY_POSTGRES_IMAGE", "SLIPWAY_LOCALSTACK_IMAGE", "SLIPWAY_DOCKER_SOCKET")
        base |= {key: os.environ[key] for key in kept if key in os.environ}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**base, "COMPOSE_PROJECT_NAME": self.project, **self.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise BenchmarkFailed(f"{self.name}: {' '.join(command)} failed:\n{done.stdout[-4000:]}")
        return done.stdout

    def _remove_images(self, *images: str) -> None:
        for image in images:
            self.run("docker", "rmi", image, check=False)

    # Its webserver

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask the webserver.

        Raises:
            BenchmarkFailed: it answers with errors.
        """
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ui_port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        if "errors" in answer:
            raise BenchmarkFailed(f"{self.name}: {answer['errors']}")
        data: dict[str, Any] = answer["data"]
        return data

    def _is_loaded(self) -> bool:
        query = """{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
                     __typename } } } } }"""
        try:
            entries = self.graphql(query)["workspaceOrError"]["locationEntries"]
        except OSError:
            return False
        kinds = [(entry["locationOrLoadError"] or {}).get("__typename") for entry in entries]
        return kinds == ["RepositoryLocation"]

    def launch(self, job: str) -> str:
        """Launch a job as the UI's launchpad does; the run's id."""
        answer = self.graphql(
            """mutation($location: String!, $job: String!) { launchRun(executionParams: {runConfigData: {},
                 selector: {repositoryLocationName: $location, repositoryName: "__repository__", jobName: $job}}) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            location=LOCATION,
            job=job,
        )["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise BenchmarkFailed(f"{self.name}: {job} was not launched: {answer}")
        run_id: str = answer["run"]["runId"]
        return run_id

    def succeeded(self, run_id: str) -> list[Event]:
        """The events of a run, once it has succeeded.

        Raises:
            BenchmarkFailed: it ended otherwise, or not in three minutes.
        """

        def status() -> str | None:
            query = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
            found: str = self.graphql(query, run=run_id)["runOrError"]["status"]
            return found if found in ("SUCCESS", "FAILURE", "CANCELED") else None

        ended = self.until(status, 180, f"run {run_id} has not ended")
        events = self._events(run_id)
        if ended != "SUCCESS":
            raise BenchmarkFailed(
                f"{self.name}: run {run_id} ended as {ended}: {[e.message for e in events][-5:]}"
            )
        return events

    def _events(self, run_id: str) -> list[Event]:
        found = self.graphql(
            """query($run: ID!) { logsForRun(runId: $run, limit: 1000) { ... on EventConnection { events {
                 ... on MessageEvent { timestamp message eventType } } } } }""",
            run=run_id,
        )["logsForRun"]["events"]
        return [
            Event(event["eventType"] or "", event["message"], int(event["timestamp"]) / 1000)
            for event in found
        ]

    def materialisation(self, key: str) -> Materialisation:
        """The materialisation of a landed file, once there is one.

        Raises:
            BenchmarkFailed: there is none after three minutes.
        """

        def found() -> Materialisation | None:
            asset = self.graphql(
                """{ assetOrError(assetKey: {path: ["landed"]}) { ... on Asset { assetMaterializations(limit: 3) {
                     runId timestamp metadataEntries { label ... on TextMetadataEntry { text } } } } } }"""
            )["assetOrError"]
            for event in asset.get("assetMaterializations", []):
                texts = {entry["label"]: entry.get("text") for entry in event["metadataEntries"]}
                if key in (texts.get("key") or "").split():
                    return Materialisation(event["runId"], int(event["timestamp"]) / 1000)
            return None

        return self.until(found, 180, f"{key} was not materialised")

    def set_sensor(self, name: str, running: bool) -> None:
        """Start or stop a sensor."""
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "sensorName": name,
        }
        if running:
            self.graphql(
                "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }", s=selector
            )
            return
        state = self.graphql(
            "query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { id } } }",
            s=selector,
        )["sensorOrError"]
        self.graphql("mutation($id: String!) { stopSensor(id: $id) { __typename } }", id=state["id"])

    def last_tick(self, sensor: str) -> float | None:
        """When the sensor was last evaluated, in seconds since the epoch."""
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "sensorName": sensor,
        }
        ticks = self.graphql(
            """query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor { sensorState {
                 ticks(limit: 1) { timestamp } } } } }""",
            s=selector,
        )["sensorOrError"]["sensorState"]["ticks"]
        return float(ticks[0]["timestamp"]) if ticks else None

    # Its S3

    def s3(self) -> S3Client:
        """The published S3."""
        return s3_client(
            S3Settings(
                endpoint=f"http://127.0.0.1:{self.s3_port}",
                public_endpoint=None,
                region="us-east-1",
                path_style=True,
                access_key_id="slipway",
                secret_access_key="slipway",
            )
        )

    def until(self, condition: Callable[[], T | None], seconds: float, message: str) -> T:
        """Wait for a condition to be neither None nor false.

        Raises:
            BenchmarkFailed: it is not, after so many seconds.
        """
        deadline = time.monotonic() + seconds
        while True:
            if result := condition():
                return result
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"{self.name}, after {seconds:.0f} s: {message}")
            time.sleep(POLL_SECONDS)


class Stock(Side):
    """Dagster's documented Docker deployment."""

    prefix = "default/"

    def environment(self) -> dict[str, str]:
        """Ports."""
        return {
            "COMPOSE_FILE": "compose.yaml",
            "BENCH_UI_PORT": str(self.ui_port),
            "BENCH_S3_PORT": str(self.s3_port),
        }

    def prepare(self) -> None:
        """The files of `bench/stock`, and the versions of the platform's lock."""
        shutil.copytree(ROOT / "bench" / "stock", self.folder, dirs_exist_ok=True)
        lock = (ROOT / "locks" / "platform.txt").read_text().splitlines()
        pins = [line.removesuffix("\\").strip() for line in lock if line and line[0].isalnum()]
        (self.folder / "constraints.txt").write_text("\n".join(pins) + "\n")

    def up(self) -> None:
        """See Side; and the bucket."""
        super().up()
        self.s3().create_bucket(Bucket=self.bucket)

    def down(self) -> None:
        """See Side. The launcher removes no container, so those of runs are found by their network."""
        self.run("docker", "compose", "stop", "daemon", "webserver", check=False)
        network = f"{self.project}_default"
        left = self.run(
            "docker",
            "ps",
            "--all",
            "--quiet",
            "--filter",
            f"network={network}",
            "--filter",
            "label=dagster/run_id",
            check=False,
        )
        if left.split():
            self.run("docker", "rm", "--force", "--volumes", *left.split(), check=False)
        self.run("docker", "compose", "down", "--volumes", "--remove-orphans", check=False)
        self._remove_images(STOCK_IMAGE)


class Slipway(Side):
    """This repository's own docker-compose.yml and platform.yaml, with one code location."""

    def environment(self) -> dict[str, str]:
        """Ports."""
        return {"SLIPWAY_UI_PORT": str(self.ui_port), "SLIPWAY_S3_PORT": str(self.s3_port)}

    def prepare(self) -> None:
        """A copy of the checkout, with the benchmark's location in the place of the samples."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).exists():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        location = self.folder / "code_locations" / LOCATION
        shutil.copytree(ROOT / "bench" / "location", location)
        shutil.copy(ROOT / "code_locations" / "ecommerce" / "requirements.txt", location)
        path = self.folder / "platform.yaml"
        path.write_text(yaml.safe_dump(platform(yaml.safe_load(path.read_text())), sort_keys=False))
        compose = self.folder / "docker-compose.yml"
        # a name of its own: the benchmark's image never takes the place of one that somebody runs
        compose.write_text(compose.read_text().replace(f"{PLATFORM_IMAGE}:0.1.0", f"{PLATFORM_IMAGE}:{TAG}"))
        self.run(str(Path(sys.executable).with_name("slipway")), "compose")

    def down(self) -> None:
        """See Side."""
        self.run("sh", "-c", "VOLUMES=1 scripts/compose-down.sh", check=False)
        self._remove_images(f"{PLATFORM_IMAGE}:{TAG}", f"slipway/{LOCATION}:{TAG}")


def platform(data: dict[str, Any]) -> dict[str, Any]:
    """platform.yaml as it is, with the benchmark's location and landing in the place of the samples'."""
    return {
        **{key: value for key, value in data.items() if key != "kubernetes"},
        "landing": {LOCATION: {"storage_ref": "default", "bucket": Side.bucket, "mode": "events"}},
        "code_locations": {
            LOCATION: {
                "path": f"code_locations/{LOCATION}",
                "image": {"repository": f"slipway/{LOCATION}", "tag": TAG},
                "profile": "small",
            }
        },
    }


@contextmanager
def both() -> Iterator[tuple[Stock, Slipway]]:
    """Both sides up and empty; afterwards nothing of them is left."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder, ExitStack() as stack:
        stock = Stock("stock", _made(Path(folder) / "stock"))
        slipway = Slipway("Slipway", _made(Path(folder) / "slipway"))
        for side in (stock, slipway):
            side.prepare()
            stack.callback(side.down)
            side.up()
        stack.callback(doing, "taking both sides down")
        yield stock, slipway


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports
