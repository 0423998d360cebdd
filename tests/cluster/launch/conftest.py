"""The launcher on a real cluster: a Postgres and a code server in a namespace that enforces `restricted`, and runs
beside them. The launcher itself is this process; it reaches the cluster as KUBECONFIG says."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import yaml
from dagster._core.workspace.load_target import GrpcServerTarget

import launched_image
import pods
from launching import PLATFORM, Launching, launching
from pods import Namespace
from waiting import until

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "slipway-test/launched:cluster"
FULLNAME = "lab-slipway"


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A location's image, with another Dagster than the platform's."""
    if why := pods.missing():
        pytest.skip(why)
    context = tmp_path_factory.mktemp("image")
    launched_image.fill(context)
    subprocess.run(["docker", "build", "--quiet", "--tag", IMAGE, context], check=True)
    pods.load(ROOT, IMAGE)
    pods.load(ROOT, "postgres:17")
    return IMAGE


@pytest.fixture(scope="session")
def namespace(image: str) -> Iterator[Namespace]:
    found = Namespace(f"launcher-{uuid.uuid4().hex[:8]}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": found.name, "labels": labels}})
    try:
        yield found
    finally:
        found.kubectl("delete", "namespace", found.name, "--wait", "--timeout=240s")


PASSWORD = "not a secret: gone with its namespace"
DATABASE = {"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "slipway", "PGDATA": "/var/lib/postgresql/data/db"}


def url(host: str, port: int) -> str:
    return f"postgresql://postgres:{PASSWORD.replace(' ', '%20')}@{host}:{port}/slipway"


@pytest.fixture(scope="session")
def platform() -> pods.Json:
    """What the ConfigMap holds at first."""
    found: pods.Json = yaml.safe_load(
        PLATFORM.replace("slipway-test/launched, tag: latest", IMAGE.replace(":", ", tag: "))
    )
    found["kubernetes"] = {"imagePullPolicy": "Never", "environmentSecret": "lab-environment"}
    found["defaults"] = {"start_timeout": 30}
    found["infrastructure"]["resource_profiles"]["slim"] = {
        "requests": {"cpu": "50m", "memory": "128Mi"},
        "limits": {"cpu": "1", "memory": "640Mi", "ephemeral-storage": "2Gi"},
        "on_oom": "small",
    }
    return found


def config_map(platform: pods.Json) -> pods.Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{FULLNAME}-platform",
            "labels": {"app.kubernetes.io/version": "0.1.0", "helm.sh/chart": "slipway-0.1.0"},
        },
        "data": {"platform.yaml": yaml.safe_dump(platform)},
    }


@pytest.fixture(scope="session")
def services(namespace: Namespace, image: str, platform: pods.Json) -> Iterator[tuple[str, int]]:
    """A Postgres and a code server; the address of the one and the port of the other, on this machine."""
    code_server = ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", "4000", "-m", "launched.definitions"]
    namespace.apply(
        config_map(platform),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": f"{FULLNAME}-runs"}},
        _secret(f"{FULLNAME}-bundled", SLIPWAY_POSTGRES_URL=url("postgres", 5432)),
        _secret("lab-environment", DAEMON_SECRET="s3cret"),
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": f"{FULLNAME}-duckdb-launched"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
        *pods.server(
            "postgres", "postgres:17", 5432, ["postgres"], DATABASE, "/var/lib/postgresql/data", 999
        ),
        *pods.server(
            "code", image, 4000, code_server, {"DAGSTER_CURRENT_IMAGE": image, "HOME": "/tmp"}, "/tmp", 10001
        ),
    )
    namespace.kubectl("wait", "--for=condition=Ready", "pod/postgres", "pod/code", "--timeout=180s")
    with namespace.forwarded("postgres", 5432) as database, namespace.forwarded("code", 4000) as grpc:
        address = url("127.0.0.1", database)
        until(lambda: _connects(address), 60)
        yield address, grpc


def _secret(name: str, **values: str) -> pods.Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


@pytest.fixture
def launcher(
    tmp_path: Path,
    namespace: Namespace,
    services: tuple[str, int],
    platform: pods.Json,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Launching]:
    """The daemon's launcher, told what the chart tells it."""
    mounted = tmp_path / "platform.yaml"
    mounted.write_text(yaml.safe_dump(platform))
    address, port = services
    for name, value in {
        "SLIPWAY_RUNTIME": "kubernetes",
        "SLIPWAY_PROJECT": FULLNAME,
        "SLIPWAY_INSTANCE": "lab",
        "SLIPWAY_NAMESPACE": namespace.name,
        "SLIPWAY_PLATFORM": str(mounted),
        "SLIPWAY_CONFIG_MAP": f"{FULLNAME}-platform",
        "SLIPWAY_BUNDLED_SECRET": f"{FULLNAME}-bundled",
        "SLIPWAY_POSTGRES_URL": address,
    }.items():
        monkeypatch.setenv(name, value)
    target = GrpcServerTarget(host="127.0.0.1", port=port, socket=None, location_name="launched")
    with launching(tmp_path, target) as harness:
        yield harness


def _connects(address: str) -> bool:
    try:
        psycopg2.connect(address, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True
