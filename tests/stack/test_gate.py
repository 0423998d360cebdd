"""The gate before the real engine: requests as the daemon's container sends them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from composed import IMAGE_TAG, Stack

SEND = """
import http.client, json, socket, sys
class Gate(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/slipway/gate/docker.sock")
answers = []
for method, path, body in json.loads(sys.argv[1]):
    gate = Gate("gate", timeout=60)
    body = body and body * int(sys.argv[2])
    gate.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = gate.getresponse()
    answers.append([answer.status, answer.read().decode(errors="replace")])
print(json.dumps(answers))
"""


def send(stack: Stack, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """Send a request from the daemon; status and text of the answer."""
    [answer] = send_all(stack, [(method, path, body)])
    return answer


def send_all(
    stack: Stack, requests: Sequence[tuple[str, str, str | None]], repeat: int = 1
) -> list[tuple[int, str]]:
    """Send several, each on a connection of its own, with each body so many times over."""
    code, output = stack.execute("daemon", "python", "-c", SEND, json.dumps(requests), str(repeat))
    assert code == 0, output
    return [(status, text) for status, text in json.loads(output)]


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
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": f"{stack.project}_duckdb_veteran",
                    "Target": "/var/lib/slipway/duckdb",
                }
            ],
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


def mounted(**change: Any) -> dict[str, Any]:
    """A mount of the location's volume, changed."""
    mount = {"Type": "volume", "Source": "{project}_duckdb_veteran", "Target": "/var/lib/slipway/duckdb"}
    return {"HostConfig": {"Mounts": [{**mount, **change}]}}


LOCAL_BIND = {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}

HOSTILE: dict[str, dict[str, Any]] = {
    "Privileged": {"HostConfig": {"Privileged": True}},
    "Binds": {"HostConfig": {"Binds": ["/:/host"]}},
    "Binds: the socket": {"HostConfig": {"Binds": ["/var/run/docker.sock:/s"]}},
    "Binds: the volume, relabelled": {
        "HostConfig": {"Binds": ["{project}_duckdb_veteran:/var/lib/slipway/duckdb:z"]}
    },
    "Mounts: the socket": mounted(Type="bind", Source="/var/run/docker.sock", Target="/s"),
    "Mounts: a folder of the host": mounted(Type="bind", Source="/"),
    "Mounts: of another location": mounted(Source="{project}_duckdb_ecommerce"),
    "Mounts: the gate's": mounted(Source="{project}_gate"),
    "Mounts: the database's": mounted(Source="{project}_postgres"),
    "Mounts: elsewhere": mounted(Target="/opt/venv"),
    "Mounts: a bind in a driver's options": mounted(VolumeOptions={"DriverConfig": LOCAL_BIND}),
    "Mounts: a part": mounted(VolumeOptions={"Subpath": ".."}),
    "Mounts: propagated": mounted(BindOptions={"Propagation": "rshared"}),
    "Mounts: none": {"HostConfig": {"Mounts": []}},
    "VolumesFrom": {"HostConfig": {"VolumesFrom": ["{project}-gate-1"]}},
    "VolumeDriver": {"HostConfig": {"VolumeDriver": "local"}},
    "PidMode": {"HostConfig": {"PidMode": "host"}},
    "IpcMode": {"HostConfig": {"IpcMode": "host"}},
    "UTSMode": {"HostConfig": {"UTSMode": "host"}},
    "UsernsMode": {"HostConfig": {"UsernsMode": "host"}},
    "CgroupnsMode": {"HostConfig": {"CgroupnsMode": "host"}},
    "CgroupParent": {"HostConfig": {"CgroupParent": "/"}},
    "CapAdd": {"HostConfig": {"CapAdd": ["SYS_ADMIN"]}},
    "CapDrop": {"HostConfig": {"CapDrop": []}},
    "Devices": {"HostConfig": {"Devices": [{"PathOnHost": "/dev/mem", "PathInContainer": "/dev/mem"}]}},
    "DeviceRequests": {"HostConfig": {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}},
    "Sysctls": {"HostConfig": {"Sysctls": {"net.ipv4.ip_forward": "1"}}},
    "Ulimits": {"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": -1, "Hard": -1}]}},
    "Runtime": {"HostConfig": {"Runtime": "runc"}},
    "OomScoreAdj": {"HostConfig": {"OomScoreAdj": -1000}},
    "ReadonlyRootfs": {"HostConfig": {"ReadonlyRootfs": False}},
    "Memory": {"HostConfig": {"Memory": 0, "MemorySwap": 0}},
    "NetworkMode": {"HostConfig": {"NetworkMode": "host"}},
    "NetworkMode: of a container": {"HostConfig": {"NetworkMode": "container:{project}-gate-1"}},
    "SecurityOpt": {"HostConfig": {"SecurityOpt": ["seccomp=unconfined"]}},
    "Image": {"Image": "slipway/platform:0.1.0"},
    "Image: of another location": {"Image": f"slipway/ecommerce:{IMAGE_TAG}"},
    "Cmd": {"Cmd": ["sh", "-c", "id"]},
    "Entrypoint": {"Entrypoint": ["sh"]},
    "User": {"User": "root"},
    "Volumes": {"Volumes": {"/run/slipway/gate": {}}},
    "Healthcheck": {"Healthcheck": {"Test": ["CMD", "id"]}},
    "NetworkingConfig": {"NetworkingConfig": {"EndpointsConfig": {"bridge": {}}}},
}
"""What is named before the colon is in the refusal."""


def test_hostile_containers_are_refused_with_a_reason_and_none_is_made(stack: Stack) -> None:
    """Sent as one, since each request from the daemon's container takes most of a second."""
    before = volumes(stack)
    runs = {case: str(uuid.uuid4()) for case in HOSTILE}
    requests = []
    for case, run_id in runs.items():
        body = body_of(stack, run_id)
        changes = json.loads(json.dumps(HOSTILE[case]).replace("{project}", stack.project))
        for name, value in changes.items():
            body[name] = {**body[name], **value} if name == "HostConfig" else value
        path = f"/v1.45/containers/create?name=slipway-run-{run_id}"
        requests.append(("POST", path, json.dumps(body)))
    answers = dict(zip(HOSTILE, send_all(stack, requests), strict=True))
    log = stack.logs("gate").splitlines()
    for case, (status, text) in answers.items():
        key = case.partition(":")[0]
        assert (case, status) == (case, 403), text
        assert key in json.loads(text)["message"], case
        assert any(runs[case] in line and key in line for line in log), f"the gate's log has no {case}"
    made = {found.name for found in stack.engine.containers.list(all=True)}
    assert not made & {f"slipway-run-{run_id}" for run_id in runs.values()}
    assert volumes(stack) == before


def volumes(stack: Stack) -> set[str]:
    return {volume.name for volume in stack.engine.volumes.list() if stack.project in volume.name}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"User"', '"User": "0", "User"', "given twice"),
        ('"User"', '"user": "0", "User"', "given twice"),
        ('"Mounts"', '"Mounts": [], "mounts"', "given twice"),
        ('"HostConfig"', '"HostConfig": {"Privileged": true}, "HostConfig"', "given twice"),
        ('"Memory"', '"PRIVILEGED": true, "Memory"', "PRIVILEGED"),
        ('"Memory": ', '"Memory": -', "above 0"),
        ("{", "[{", "not JSON"),
    ],
)
def test_json_that_two_parsers_read_differently_is_refused(
    stack: Stack, old: str, new: str, said: str
) -> None:
    run_id = str(uuid.uuid4())
    body = json.dumps(body_of(stack, run_id)).replace(old, new, 1)
    status, text = send(stack, "POST", f"/v1.45/containers/create?name=slipway-run-{run_id}", body)
    assert (status, said in text) == (403, True), text


def test_a_body_of_many_megabytes_is_refused(stack: Stack) -> None:
    run_id = str(uuid.uuid4())
    path = f"/v1.45/containers/create?name=slipway-run-{run_id}"
    status, text = send_all(stack, [("POST", path, " " * 100)], repeat=60_000)[0]
    assert (status, "larger than" in text) == (403, True), text


REFUSED = [
    ("GET", "/v1.45/containers/{gate}/json"),
    ("POST", "/v1.45/containers/{gate}/stop"),
    ("POST", "/v1.45/containers/{gate}/start"),
    ("GET", "/v1.45/containers/{postgres}/logs?stdout=1"),
    ("DELETE", "/v1.45/containers/{postgres}?force=1"),
    ("POST", "/v1.45/containers/{daemon}/exec"),
    ("POST", "/v1.45/exec/abc/start"),
    ("POST", "/v1.45/containers/{daemon}/attach?stream=1"),
    ("POST", "/v1.45/containers/{daemon}/update"),
    ("POST", "/v1.45/containers/{daemon}/kill"),
    ("POST", "/v1.45/containers/{daemon}/rename?name=x"),
    ("PUT", "/v1.45/containers/{daemon}/archive?path=/"),
    ("GET", "/v1.45/containers/{daemon}/archive?path=/"),
    ("GET", "/v1.45/containers/{postgres}/export"),
    ("POST", "/v1.45/commit?container={daemon}&repo=slipway/veteran&tag=0.1.0"),
    ("GET", "/v1.45/containers/x%2F..%2F{gate}/json"),
    ("GET", "/v1.45/containers/%2e%2e/images/json"),
    ("GET", "/v1.45/containers/../images/json"),
    ("GET", "/v1.45/containers/json/../../images/json"),
    ("GET", "//containers/{gate}/json"),
    ("GET", "/v1.24/containers/json"),
    ("POST", "/v1.45/images/create?fromImage=debian&tag=latest"),
    ("POST", "/v1.45/images/load"),
    ("GET", "/v1.45/images/json"),
    ("POST", "/v1.45/build"),
    ("POST", "/v1.45/volumes/create"),
    ("GET", "/v1.45/volumes"),
    ("DELETE", "/v1.45/volumes/{project}_duckdb_veteran"),
    ("POST", "/v1.45/networks/create"),
    ("POST", "/v1.45/containers/prune"),
    ("POST", "/v1.45/swarm/init"),
    ("GET", "/v1.45/events"),
]


def test_other_containers_and_other_requests_are_refused(stack: Stack) -> None:
    names = {name: container.name for name, container in stack.services().items()}
    names["project"] = stack.project
    answers = send_all(stack, [(method, path.format_map(names), None) for method, path in REFUSED])
    passed = [
        (request, status, text)
        for request, (status, text) in zip(REFUSED, answers, strict=True)
        if status != 403 or "the gate refused" not in text
    ]
    assert passed == []


def test_no_volume_is_made_beforehand_with_options_of_its_own(stack: Stack) -> None:
    """A volume with options of somebody's choice, made before the run's, would be the run's: no request makes one."""
    body = json.dumps(
        {"Name": f"{stack.project}_duckdb_ecommerce", "Driver": "local", "DriverOpts": {"o": "bind"}}
    )
    status, text = send(stack, "POST", "/v1.45/volumes/create", body)
    assert (status, "the gate refused" in text) == (403, True), text
    assert f"{stack.project}_duckdb_ecommerce" not in volumes(stack)


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
