"""A namespace of a real cluster with a Postgres and a code server, for tests of what is launched there."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]

CONTAINER = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


def missing() -> str | None:
    """Why there is no cluster to test on, or None."""
    if shutil.which("kubectl") is None:
        return "no kubectl command"
    answer = subprocess.run(
        ["kubectl", "get", "--raw", "/readyz", "--request-timeout=5s"],
        capture_output=True,
        check=False,
    )
    return None if answer.returncode == 0 else "no Kubernetes cluster answers"


class Namespace:
    """kubectl in one namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        answer = subprocess.run(
            ["kubectl", "--namespace", self.name, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or answer.returncode == 0, f"{arguments}: {answer.stderr}"
        return answer.stdout

    def apply(self, *objects: Json) -> None:
        self.kubectl(
            "apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def delete(self, *what: str) -> None:
        self.kubectl("delete", "--ignore-not-found", "--wait", *what)

    def get(self, kind: str, name: str) -> Json | None:
        answer = self.kubectl("get", kind, name, "--ignore-not-found", "-o", "json")
        return json.loads(answer) if answer else None

    def list(self, kind: str, selector: str = "") -> list[Json]:
        found: list[Json] = json.loads(self.kubectl("get", kind, "-l", selector, "-o", "json"))["items"]
        return found

    def job(self, run_id: str) -> Json | None:
        return self.get("job", f"slipway-run-{run_id}")

    def pods(self, run_id: str) -> list[Json]:
        return self.list("pods", f"dagster/run-id={run_id}")

    def pod(self, run_id: str) -> Json:
        (pod,) = self.pods(run_id)
        return pod

    def is_clear(self, run_id: str) -> bool:
        """Whether nothing is left of a run."""
        return self.job(run_id) is None and not self.pods(run_id)

    @contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to a service."""
        process = subprocess.Popen(
            ["kubectl", "--namespace", self.name, "port-forward", f"service/{service}", f":{port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert match, line + process.stdout.read()
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield int(match[1])
        finally:
            process.terminate()
            process.wait(10)


def server(
    name: str, image: str, port: int, command: Sequence[str], env: dict[str, str], folder: str, user: int
) -> list[Json]:
    """A pod behind a service of the same name, under Pod Security's `restricted`."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": user,
                    "fsGroup": user,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "data", "emptyDir": {}}],
                "containers": [
                    {
                        "name": name,
                        "image": image,
                        "args": list(command),
                        "env": [{"name": key, "value": value} for key, value in env.items()],
                        "securityContext": CONTAINER,
                        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
                        "volumeMounts": [{"name": "data", "mountPath": folder}],
                    }
                ],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
        },
    ]


class Door:
    """A way to the API server that can be shut: connections are cut, and new ones too."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open = True
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def shut(self) -> None:
        self._open = False
        pairs, self._pairs = self._pairs, []
        for one in (end for pair in pairs for end in pair):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        self._open = True

    def close(self) -> None:
        self.shut()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._pairs.append((near, far))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def door() -> Iterator[tuple[Door, Path]]:
    """A door to the current cluster, and a kubeconfig that leads through it."""
    config = yaml.safe_load(
        subprocess.run(
            ["kubectl", "config", "view", "--raw", "--minify", "--flatten"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    cluster = config["clusters"][0]["cluster"]
    match = re.fullmatch(r"https://\[?([^/]+?)\]?:(\d+)/?", cluster["server"])
    assert match, cluster["server"]
    found = Door(match[1], int(match[2]))
    # Every API server's certificate has this name.
    cluster |= {"server": f"https://127.0.0.1:{found.port}", "tls-server-name": "kubernetes.default"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        try:
            yield found, path
        finally:
            found.close()


def load(root: Path, image: str) -> None:
    """Get an image of this machine's engine into the cluster."""
    subprocess.run([root / "scripts" / "cluster-load.sh", image], check=True, env=os.environ)
