"""The gate before the real engine: requests as the daemon's container sends them."""

from __future__ import annotations

import copy
import json
import uuid
from typing import Any

import pytest

from composed import IMAGE_TAG, Stack

SEND = """
import http.client, json, socket, sys
class Gate(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/slipway/gate/docker.sock")
method, path, body = json.loads(sys.argv[1])
gate = Gate("gate", timeout=60)
gate.request(method, path, body, {"Content-Type": "application/json"} if body else {})
answer = gate.getresponse()
print(json.dumps([answer.status, answer.read().decode(errors="replace")]))
"""


def send(stack: Stack, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """Send a request from the daemon; status and text of the answer."""
    code, output = stack.execute("daemon", "python", "-c", SEND, json.dumps([method, path, body]))
    assert code == 0, output
    status, text = json.loads(output)
    return status, text


def body_of(stack: Stack, run_id: str) -> dict[str, Any]:
    return {
        "Image": f"slipway/veteran:{IMAGE_TAG}",
        "Cmd": ["/opt/venv/bin/python", "-m", "slipway.worker", "not a run"],
        "Env": ["HOME=/tmp"],
        "Labels": {
            "slipway.project": stack.project,
            "slipway.kind": "run",
            "slipway.location": "veteran",
            "dagster/run_id": run_id,
            "dagster/job_name": "test",
        },
        "User": "10001:10001",
        "Volumes": {"/tmp": {}},
        "HostConfig": {
            "Memory": 256 * 1024**2,
            "MemorySwap": 256 * 1024**2,
            "MemoryReservation": 128 * 1024**2,
            "CpuPeriod": 100000,
            "CpuQuota": 100000,
            "PidsLimit": 64,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "NetworkMode": f"{stack.project}_backend",
        },
    }


def test_a_run_lives_its_whole_life_through_the_gate(stack: Stack) -> None:
    run_id = str(uuid.uuid4())
    name = f"slipway-run-{run_id}"
    body = json.dumps(body_of(stack, run_id))
    status, text = send(stack, "POST", f"/v1.45/containers/create?name={name}", body)
    assert status == 201, text
    try:
        assert send(stack, "POST", f"/v1.45/containers/{name}/start")[0] == 204
        status, text = send(stack, "POST", f"/v1.45/containers/{name}/wait")
        assert (status, json.loads(text)["StatusCode"] != 0) == (200, True)
        status, text = send(stack, "GET", f"/v1.45/containers/{name}/logs?stdout=1&stderr=1&tail=50")
        assert (status, "not a run" in text or "Error" in text) == (200, True), text
        assert json.loads(send(stack, "GET", f"/v1.45/containers/{name}/json")[1])["Name"] == f"/{name}"
        _, listed = send(stack, "GET", "/v1.45/containers/json?all=1")
        assert f"/{name}" in [found for container in json.loads(listed) for found in container["Names"]]
    finally:
        status, text = send(stack, "DELETE", f"/v1.45/containers/{name}?v=1&force=1")
    assert status == 204, text
    assert send(stack, "GET", f"/v1.45/containers/{name}/json")[0] == 404


HOSTILE: dict[str, dict[str, Any]] = {
    "Privileged": {"HostConfig": {"Privileged": True}},
    "Binds": {"HostConfig": {"Binds": ["/:/host"]}},
    "Mounts": {
        "HostConfig": {"Mounts": [{"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/s"}]}
    },
    "PidMode": {"HostConfig": {"PidMode": "host"}},
    "CapAdd": {"HostConfig": {"CapAdd": ["SYS_ADMIN"]}},
    "Devices": {"HostConfig": {"Devices": [{"PathOnHost": "/dev/mem", "PathInContainer": "/dev/mem"}]}},
    "NetworkMode": {"HostConfig": {"NetworkMode": "host"}},
    "SecurityOpt": {"HostConfig": {"SecurityOpt": ["seccomp=unconfined"]}},
    "Image": {"Image": "slipway/platform:0.1.0"},
    "Entrypoint": {"Entrypoint": ["sh"]},
    "User": {"User": "root"},
    "Volumes": {"Volumes": {"/run/slipway/gate": {}}},
}


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_container_is_refused_with_a_reason(stack: Stack, key: str) -> None:
    run_id = str(uuid.uuid4())
    body = copy.deepcopy(body_of(stack, run_id))
    for name, value in HOSTILE[key].items():
        body[name] = {**body[name], **value} if name == "HostConfig" else value
    status, text = send(
        stack, "POST", f"/v1.45/containers/create?name=slipway-run-{run_id}", json.dumps(body)
    )
    assert status == 403, text
    assert key in json.loads(text)["message"]
    assert run_id in stack.logs("gate"), "the gate's log has the refusal"
    assert key in next(line for line in stack.logs("gate").splitlines() if run_id in line)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1.45/containers/{gate}/json"),
        ("POST", "/v1.45/containers/{gate}/stop"),
        ("GET", "/v1.45/containers/{postgres}/logs?stdout=1"),
        ("DELETE", "/v1.45/containers/{postgres}?force=1"),
        ("POST", "/v1.45/containers/{daemon}/exec"),
        ("PUT", "/v1.45/containers/{daemon}/archive?path=/"),
        ("GET", "/v1.45/containers/x%2F..%2F{gate}/json"),
        ("GET", "//containers/{gate}/json"),
        ("POST", "/v1.45/images/create?fromImage=debian&tag=latest"),
        ("POST", "/v1.45/build"),
        ("POST", "/v1.45/volumes/create"),
        ("GET", "/v1.45/images/json"),
    ],
)
def test_other_containers_and_other_requests_are_refused(stack: Stack, method: str, path: str) -> None:
    names = {name: container.name for name, container in stack.services().items()}
    status, text = send(stack, method, path.format_map(names))
    assert (status, "the gate refused" in text) == (403, True), text


def test_a_missing_image_is_an_error_and_no_pull(stack: Stack) -> None:
    run_id = str(uuid.uuid4())
    body = json.dumps(body_of(stack, run_id))
    image = stack.engine.images.get(f"slipway/veteran:{IMAGE_TAG}")
    kept = f"slipway/veteran:{IMAGE_TAG}-kept"
    image.tag(kept)
    stack.engine.images.remove(f"slipway/veteran:{IMAGE_TAG}", noprune=True)
    try:
        status, text = send(stack, "POST", f"/v1.45/containers/create?name=slipway-run-{run_id}", body)
    finally:
        image.tag(f"slipway/veteran:{IMAGE_TAG}")
        stack.engine.images.remove(kept, noprune=True)
    assert (status, "No such image" in text) == (404, True), text


def test_the_host_is_told_by_its_size_alone(stack: Stack) -> None:
    status, text = send(stack, "GET", "/v1.45/info")
    assert status == 200
    assert {"NCPU", "MemTotal"} <= json.loads(text).keys()
    assert not {"Name", "ID", "Labels", "RegistryConfig", "SecurityOptions"} & json.loads(text).keys()
