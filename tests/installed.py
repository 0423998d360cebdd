"""The platform on a cluster, for tests: a copy of the checkout, installed in a namespace of its own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import composed
from slipway.aws import s3_client
from slipway.config.connections import S3Settings
from waiting import until
from webserver import Webserver

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RELEASE = "slipway"
TOKEN = "token of ecommerce alone"
API_PROXY = "kubernetes"
"""The service through which the daemon reaches the API server: a name that is in every API server's certificate."""

PROJECT = """
[build-system]
requires = ["hatchling==1.28.0"]
build-backend = "hatchling.build"
[project]
name = "launched"
version = "0.1.0"
[tool.dg.project]
root_module = "launched"
code_location_target_module = "launched.together"
[tool.hatch.build.targets.wheel]
packages = ["src/launched"]
"""

TOGETHER = """
import dagster as dg

from launched import crowding, definitions

defs = dg.Definitions.merge(definitions.defs, crowding.defs)
"""

VALUES = """
infrastructure:
  resource_profiles:
    small: {requests: {cpu: 50m, memory: 128Mi}}
    medium: {requests: {cpu: 50m, memory: 128Mi}}
    tiny: {requests: {cpu: 10m, memory: 64Mi}, limits: {cpu: "1", memory: 640Mi, ephemeral-storage: 1Gi}}
    tight:
      requests: {cpu: 10m, memory: 64Mi}
      limits: {cpu: "1", memory: 640Mi, ephemeral-storage: 1Gi}
      on_oom: roomy
    roomy: {requests: {cpu: 10m, memory: 64Mi}, limits: {cpu: "1", memory: 1536Mi, ephemeral-storage: 1Gi}}
    impossible: {requests: {cpu: "512", memory: 64Mi}, limits: {cpu: "512", memory: 640Mi}}
    greedy: {requests: {cpu: 10m, memory: 500Gi}, limits: {cpu: "1", memory: 500Gi}}
defaults: {start_timeout: 240}
concurrency:
  max_concurrent_runs: 20
  pools: {counter: 1}
kubernetes:
  environmentSecret: of-the-platform
  webserver: {resources: {requests: {cpu: 50m}}}
  daemon:
    resources: {requests: {cpu: 50m}}
    env:
      - {name: KUBERNETES_SERVICE_HOST, value: kubernetes}
      - {name: KUBERNETES_SERVICE_PORT, value: "6443"}
  codeServers: {resources: {requests: {cpu: 50m}}}
  postgres: {resources: {requests: {cpu: 50m}}}
  localstack: {resources: {requests: {cpu: 50m}}}
"""
"""What the tests' platform has beside the repository's: room for many runs on one small node, and profiles that fail."""

PLATFORM_IMAGE = f"slipway/platform:{composed.IMAGE_TAG}"

PROXY = """
import socket, threading
def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
server = socket.create_server(("", 6443))
while True:
    client = server.accept()[0]
    upstream = socket.create_connection(("kubernetes.default.svc", 443))
    for ends in ((client, upstream), (upstream, client)):
        threading.Thread(target=pump, args=ends, daemon=True).start()
"""


class Forward:
    """A port of this machine that leads to a service in the cluster; opened again when the service's pod went."""

    def __init__(self, namespace: str, service: str, port: int) -> None:
        self._command = ["kubectl", "--namespace", namespace, "port-forward", f"service/{service}"]
        self._target = port
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def url(self) -> str:
        """The address, once something answers there."""
        until(self._answers, 90, f"nothing answers behind {' '.join(self._command)}")
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            self.close()
            # it writes a line for each connection: into a pipe that nobody reads, it would hang after some thousands
            self._process = subprocess.Popen(
                [*self._command, f"{self.port}:{self._target}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
                answer.read()
        except urllib.error.HTTPError:
            return True
        except (OSError, HTTPException) as error:
            if not isinstance(getattr(error, "reason", error), ConnectionRefusedError):
                self.close()
            return False
        return True


class Api:
    """The cluster's API as JSON, through `kubectl proxy`: one process instead of one for each question."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://{self._process.stdout.readline().rsplit(' ', 1)[1].strip()}"

    def get(self, path: str, **query: str) -> dict[str, Any] | None:
        """An object or a list; None when there is none."""
        try:
            with urllib.request.urlopen(
                f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=30
            ) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return found

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.communicate()


PATHS = {
    "deployments": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "jobs": "apis/batch/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "poddisruptionbudgets": "apis/policy/v1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
}
"""API groups of what is asked for, where it is not the core's."""


class Installed(Webserver):
    """One release in its namespace: its files, its objects and its doors."""

    def __init__(self, folder: Path, namespace: str | None = None) -> None:
        self.folder = folder
        self.values = folder / "values-of-the-tests.yaml"
        self.namespace = namespace or f"slipway-test-{uuid.uuid4().hex[:6]}"
        self.api = Api()
        self.ui = Forward(self.namespace, f"{RELEASE}-webserver", 80)
        self.storage = Forward(self.namespace, f"{RELEASE}-localstack", 4566)
        self.environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if key == "SLIPWAY_CLUSTER_LOAD" or not key.startswith(("SLIPWAY_", "COMPOSE_"))
            },
            "SLIPWAY_VENV": str(Path(sys.executable).parent.parent),
            "NAMESPACE": self.namespace,
            "RELEASE": RELEASE,
            "VALUES": str(self.values),
            "DAYS": "1",
        }

    @property
    def url(self) -> str:
        return self.ui.url()

    def close(self) -> None:
        """End what leads to it."""
        self.ui.close()
        self.storage.close()
        self.api.close()

    def run_command(
        self,
        *command: str | Path,
        check: bool = True,
        timeout: float = 600,
        text: str | None = None,
        **environment: str,
    ) -> str:
        """Run a command in the copy of the checkout, `text` its input; its output, errors included."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-6000:]}"
            )
        return done.stdout

    def kubectl(self, *arguments: str, check: bool = True, text: str | None = None) -> str:
        """Run kubectl in the namespace; its output."""
        return self.run_command("kubectl", "--namespace", self.namespace, *arguments, check=check, text=text)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make or change objects in the namespace."""
        self.kubectl("apply", "--filename", "-", text=yaml.safe_dump_all(objects))

    def upgrade(self, *arguments: str, check: bool = True) -> str:
        """`helm upgrade` with the tests' values, further arguments last; its output."""
        return self.run_command(
            *("helm", "upgrade", "--install", RELEASE, "helm/slipway", "--namespace", self.namespace),
            *("--values", "platform.yaml", "--values", self.values, *arguments),
            *("--wait", "--timeout", "5m"),
            check=check,
        )

    def list(self, kind: str, selector: str = "", **fields: str) -> list[dict[str, Any]]:
        """Objects of a kind, such as pods, by labels."""
        found = self.api.get(
            f"/{PATHS.get(kind, 'api/v1')}/namespaces/{self.namespace}/{kind}",
            labelSelector=selector,
            fieldSelector=",".join(f"{name.replace('__', '.')}={value}" for name, value in fields.items()),
        )
        assert found is not None
        items: list[dict[str, Any]] = found["items"]
        return items

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object by its name, or None."""
        return self.api.get(f"/{PATHS.get(kind, 'api/v1')}/namespaces/{self.namespace}/{kind}/{name}")

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Pods of a component that are not on their way out."""
        found = self.list("pods", f"app.kubernetes.io/component={component}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def pod(self, component: str) -> dict[str, Any]:
        """The one pod of a component."""
        [found] = self.pods(component)
        return found

    def run_pods(self, run_id: str) -> list[dict[str, Any]]:
        """Pods of a run."""
        return self.list("pods", f"dagster/run-id={run_id}")

    def run_pod(self, run_id: str, seconds: float = 60) -> dict[str, Any]:
        """The pod of a run, once its container runs."""

        def running() -> dict[str, Any] | None:
            found = self.run_pods(run_id)
            return next((pod for pod in found if pod["status"].get("phase") == "Running"), None)

        return until(running, seconds, lambda: f"no pod of {run_id} runs: {self.messages(run_id)}")

    def run_is_gone(self, run_id: str) -> bool:
        """Whether neither Job nor pod of a run is left."""
        return self.get("jobs", f"slipway-run-{run_id}") is None and not self.run_pods(run_id)

    def servers(self) -> dict[str, str]:
        """The pods of all services with what tells one start of them from the next."""
        return {
            pod["metadata"]["name"]: ",".join(
                f"{pod['metadata']['uid']}/{status.get('restartCount', 0)}"
                for status in pod["status"].get("containerStatuses", [])
            )
            for pod in self.list(
                "pods",
                f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component notin (run,bootstrap,test)",
            )
        }

    def execute(self, target: str, *command: str) -> str:
        """Run a command in a pod, such as `deployment/slipway-daemon`; its output without errors."""
        done = subprocess.run(
            ["kubectl", "--namespace", self.namespace, "exec", target, "--", *command],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def slipway(self, *arguments: str) -> str:
        """Run `slipway` where the webserver is."""
        return self.execute(f"deployment/{RELEASE}-webserver", "slipway", *arguments)

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Rows of a statement on the lake."""
        rows: list[dict[str, Any]] = json.loads(self.slipway("sql", "--json", statement))
        return rows

    def landed(self, prefix: str = "") -> set[str]:
        """The states of what has landed."""
        listed = self.slipway("landing", "list", "jaffle_shop", "--prefix", prefix, "--json")
        return {entry["state"] for entry in json.loads(listed)["objects"]}

    def secret(self, key: str) -> str:
        """A value of the secret of the bundled services."""
        found = self.get("secrets", f"{RELEASE}-bundled")
        assert found is not None
        return base64.b64decode(found["data"][key]).decode()

    def s3(self) -> S3Client:
        """The bundled S3, as a user reaches it."""
        client: S3Client = s3_client(
            S3Settings(
                endpoint=self.storage.url(),
                public_endpoint=None,
                region="us-east-1",
                path_style=True,
                access_key_id=self.secret("SLIPWAY_S3_ACCESS_KEY_ID"),
                secret_access_key=self.secret("SLIPWAY_S3_SECRET_ACCESS_KEY"),
            )
        )
        return client


def prepare(checkout: Path, folder: Path) -> None:
    """Copy a checkout as the containers' tests do, so that the images are the same, with one more location."""
    composed.prepare(checkout, folder)
    location = folder / "code_locations" / "launched"
    package = location / "src" / "launched"
    shutil.copytree(checkout / "tests" / "launched", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(checkout / "tests" / "crowding.py", package)
    (package / "together.py").write_text(TOGETHER)
    (location / "pyproject.toml").write_text(PROJECT)
    # the same lock, and so the same layers
    shutil.copy(folder / "code_locations" / "ecommerce" / "requirements.txt", location)
    path = folder / "platform.yaml"
    platform = yaml.safe_load(path.read_text())
    platform["code_locations"]["launched"] = {
        "path": "code_locations/launched",
        "image": {"repository": "slipway/launched", "tag": composed.IMAGE_TAG},
        "env": {
            "LOCATION_VALUE": "plain",
            "LOCATION_SECRET": {"secret": {"name": "of-launched", "key": "token"}},
        },
    }
    platform.setdefault("kubernetes", {})["image"] = {
        "repository": "slipway/platform",
        "tag": composed.IMAGE_TAG,
    }
    path.write_text(yaml.safe_dump(platform, sort_keys=False))
    (folder / "values-of-the-tests.yaml").write_text(VALUES)
    (folder / "docker-compose.override.yml").unlink()


def namespace_objects(name: str) -> list[dict[str, Any]]:
    """The namespace, which takes no pod that is not `restricted`, and what a user has made in it before an install."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "memory"},
            "spec": {"hard": {"requests.memory": "100Gi"}},
        },
        _secret("of-the-platform", STACK_TEST_TOKEN=TOKEN),
        _secret("of-launched", token="s3cret"),
    ]


def proxy_objects() -> list[dict[str, Any]]:
    """What stands between the daemon and the API server, to be taken away."""
    labels = {"app": "api-proxy"}
    container = {
        "name": "proxy",
        "image": PLATFORM_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", PROXY],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi"},
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": API_PROXY},
            "spec": {"selector": labels, "ports": [{"port": 6443}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "api-proxy"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": False,
                        "terminationGracePeriodSeconds": 1,
                        "securityContext": {
                            "runAsNonRoot": True,
                            "runAsUser": 10001,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [container],
                    },
                },
            },
        },
    ]


def _secret(name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def condition(pod: dict[str, Any], name: str) -> bool:
    """Whether a condition of a pod holds."""
    return any(
        found["type"] == name and found["status"] == "True" for found in pod["status"].get("conditions", [])
    )


def variables(container: dict[str, Any]) -> Sequence[str]:
    """Names of a container's environment, in their order."""
    return [variable["name"] for variable in container.get("env", [])]
