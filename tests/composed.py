"""The platform in containers, for tests: a copy of the checkout under its own project name and ports."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import yaml
from docker.models.containers import Container

from slipway.aws import s3_client
from slipway.config.connections import S3Settings
from webserver import Webserver

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TOKEN = "token of ecommerce alone"
IMAGE_TAG = "stack-test"
UPLOAD_INTERVAL = 2
"""Seconds between uploads of a log while its step runs."""

PROBE = '''
"""Says what a run sees of the machine, for the tests of the stack."""

import os
import socket
from pathlib import Path

import dagster as dg


class Environment(dg.ConfigurableResource):
    plain: str = ""
    token: str = ""


def reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def writable(folder: str) -> bool:
    try:
        Path(folder, "probe").write_text("")
    except OSError:
        return False
    return True


@dg.asset
def {name}_probe(environment: Environment) -> dg.MaterializeResult:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return dg.MaterializeResult(metadata={{"seen": dg.MetadataValue.json({{
        "plain": environment.plain,
        "token": environment.token,
        "environment": sorted(os.environ),
        "uid": os.getuid(),
        "capabilities": status["CapEff"].strip(),
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "sockets": [path for path in ("/run/slipway/gate", "/var/run/docker.sock", "/run/docker.sock") if Path(path).exists()],
        "gate": [port for port in (2375, 2376, 80) if reachable("gate", port)],
        "writable": [folder for folder in ("/", "/opt", "/opt/location", "/var", "/tmp") if writable(folder)],
    }})}})


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(list("abcdefghijkl")))
def {name}_parts() -> None:
    pass


defs = dg.Definitions(assets=[{name}_probe, {name}_parts], resources={{"environment": Environment({arguments})}})
'''

FILING = '''
"""Assets that write the DuckDB file of their location, for the tests of the stack. They keep it while `hold` lies beside it."""

import os
import time
from pathlib import Path

import dagster as dg
from slipway.resources import DuckDBFileResource, duckdb_file_pool


def visit(context: dg.AssetExecutionContext, file: DuckDBFileResource) -> dg.MaterializeResult:
    with file.connect() as connection:
        opened = time.time()
        connection.execute("CREATE TABLE IF NOT EXISTS visits (run VARCHAR PRIMARY KEY, opened DOUBLE, closed DOUBLE)")
        context.log.info("has the file")
        while file.path.with_name("hold").exists():
            time.sleep(0.05)
        connection.execute("INSERT OR REPLACE INTO visits VALUES (?, ?, ?)", [context.run_id, opened, time.time()])
        visits = connection.execute("FROM visits ORDER BY opened").fetchall()
    return dg.MaterializeResult(metadata={"seen": dg.MetadataValue.json({
        "path": os.environ["SLIPWAY_DUCKDB_FILE"], "owner": file.path.stat().st_uid, "visits": visits,
    })})


@dg.asset(pool=duckdb_file_pool())
def veteran_visit(context: dg.AssetExecutionContext, file: DuckDBFileResource) -> dg.MaterializeResult:
    return visit(context, file)


@dg.asset
def veteran_visit_without_pool(context: dg.AssetExecutionContext, file: DuckDBFileResource) -> dg.MaterializeResult:
    return visit(context, file)


defs = dg.Definitions(
    assets=[veteran_visit, veteran_visit_without_pool], resources={"file": DuckDBFileResource()}
)
'''


class Stack(Webserver):
    """One project of Compose: its files, its containers and its doors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = f"slipway-test-{uuid.uuid4().hex[:8]}"
        self.ui_port, self.s3_port = _free_ports(2)
        self.engine = docker.from_env(timeout=120)
        self.environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("SLIPWAY_", "COMPOSE_"))
            },
            "COMPOSE_PROJECT_NAME": self.project,
            "SLIPWAY_UI_PORT": str(self.ui_port),
            "SLIPWAY_S3_PORT": str(self.s3_port),
            "STACK_TEST_TOKEN": TOKEN,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ui_port}"

    def compose(self, *arguments: str, check: bool = True, timeout: float = 600) -> str:
        """Run `docker compose`; its output, errors included."""
        return self.run("docker", "compose", *arguments, check=check, timeout=timeout)

    def run(self, *command: str, check: bool = True, timeout: float = 600, **environment: str) -> str:
        """Run a command in the copy of the checkout; its output, errors included."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return done.stdout

    def services(self) -> dict[str, Container]:
        """Every container of Compose's, by service."""
        label = f"com.docker.compose.project={self.project}"
        found = self.engine.containers.list(all=True, filters={"label": label})
        return {
            container.labels["com.docker.compose.service"]: container
            for container in found
            if container.labels.get("com.docker.compose.oneoff") != "True"
        }

    def run_containers(self, location: str) -> list[Container]:
        """The containers of a location's runs that go on."""
        labels = [f"slipway.project={self.project}", "slipway.kind=run", f"slipway.location={location}"]
        found: list[Container] = self.engine.containers.list(filters={"label": labels})
        return found

    def execute(self, service: str, *command: str) -> tuple[int, str]:
        """Run a command in a service's container; exit code and output."""
        code, output = self.services()[service].exec_run(list(command))
        return code, output.decode()

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Rows of a statement on the lake; none while its table does not exist."""
        code, output = self.execute("webserver", "slipway", "sql", "--json", statement)
        if code != 0:
            assert "does not exist" in output, output
            return []
        rows: list[dict[str, Any]] = json.loads(output)
        return rows

    def s3(self) -> S3Client:
        """The published S3, as a user reaches it."""
        client: S3Client = s3_client(
            S3Settings(
                endpoint=f"http://127.0.0.1:{self.s3_port}",
                public_endpoint=None,
                region="us-east-1",
                path_style=True,
                access_key_id="slipway",
                secret_access_key="slipway",
            )
        )
        return client

    def logs(self, service: str) -> str:
        """What a service wrote, from its first start."""
        logs: bytes = self.services()[service].logs()
        return logs.decode(errors="replace")


def prepare(checkout: Path, folder: Path) -> None:
    """Copy a checkout as a clone would have it, with a probe in each location and a user's own settings."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        source = checkout / name
        if source.exists():  # removed, and not committed yet
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    arguments = {
        "ecommerce": 'plain=dg.EnvVar("STACK_PLAIN"), token=dg.EnvVar("STACK_TOKEN")',
        "veteran": "",
    }
    for name, values in arguments.items():
        probe = folder / "code_locations" / name / "src" / name / "defs" / f"{name}_probe.py"
        probe.write_text(PROBE.format(name=name, arguments=values))
    for name, module in (("ecommerce", "talking.py"), ("veteran", "stumbling.py")):
        shutil.copy(
            Path(__file__).with_name(module), folder / "code_locations" / name / "src" / name / "defs"
        )
    (folder / "code_locations/veteran/src/veteran/defs/veteran_filing.py").write_text(FILING)
    path = folder / "platform.yaml"
    platform = yaml.safe_load(path.read_text())
    # tags of its own: the tests' images never take the place of those that somebody runs
    for location in platform["code_locations"].values():
        location["image"]["tag"] = IMAGE_TAG
    platform["code_locations"]["veteran"]["duckdb_file"] = "warehouse.duckdb"
    platform["code_locations"]["ecommerce"]["env"] = {
        "STACK_PLAIN": "a $5 plan",
        "STACK_TOKEN": {"env": "STACK_TEST_TOKEN"},
    }
    platform["observability"]["compute_logs"]["upload_interval"] = UPLOAD_INTERVAL
    platform["infrastructure"]["resource_profiles"]["narrow"] = {"limits": {"ephemeral-storage": "64Mi"}}
    path.write_text(yaml.safe_dump(platform, sort_keys=False))
    (folder / "docker-compose.override.yml").write_text(
        yaml.safe_dump(
            {
                "services": {
                    "code-veteran": {"mem_limit": "768m", "environment": {"FROM_OVERRIDE": "yes"}},
                    "webserver": {"labels": {"from.override": "yes"}},
                }
            }
        )
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports
