"""What the gate passes and what it refuses, without an engine."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from slipway.gate.policy import Boundary, Passed, Refused, create_body, decide, list_filters, own

RUN = "0f6a2f0c-7a10-4c4e-9b6a-3f1f0a6b5c11"
NAME = f"slipway-run-{RUN}"
BOUNDARY = Boundary(
    project="shop",
    network="shop_backend",
    images={"ecommerce": "slipway/ecommerce:0.1.0", "veteran": "slipway/veteran:0.1.0"},
)
BODY: dict[str, Any] = {
    "Image": "slipway/ecommerce:0.1.0",
    "Cmd": ["/opt/venv/bin/python", "-m", "slipway.worker", "{}"],
    "Env": ["HOME=/tmp", "EMPTY="],
    "Labels": {
        "slipway.project": "shop",
        "slipway.kind": "run",
        "slipway.location": "ecommerce",
        "dagster/run_id": RUN,
        "dagster/job_name": "job",
    },
    "User": "10001:10001",
    "Volumes": {"/tmp": {}},
    "HostConfig": {
        "Memory": 1073741824,
        "MemorySwap": 1073741824,
        "MemoryReservation": 536870912,
        "CpuPeriod": 100000,
        "CpuQuota": 100000,
        "PidsLimit": 512,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "NetworkMode": "shop_backend",
    },
}

FILES = Boundary(
    project="shop", network="shop_backend", images=BOUNDARY.images, duckdb_files=frozenset({"ecommerce"})
)
"""The same with a DuckDB file for one of the locations."""

MOUNT = {"Type": "volume", "Source": "shop_duckdb_ecommerce", "Target": "/var/lib/slipway/duckdb"}
WITH_FILE: dict[str, Any] = {**BODY, "HostConfig": {**BODY["HostConfig"], "Mounts": [MOUNT]}}

Change = Callable[[dict[str, Any]], object]


def create(body: bytes, name: str = NAME) -> Passed:
    return decide(BOUNDARY, "POST", f"/v1.45/containers/create?name={name}", body)


def test_the_launchers_body_goes_through_unchanged() -> None:
    passed = create(json.dumps(BODY).encode())
    assert passed.body == BODY
    assert (passed.method, passed.path, passed.query) == ("POST", "/v1.45/containers/create", {"name": NAME})


HOSTILE: dict[str, tuple[Change, str]] = {
    "privileged": (lambda b: b["HostConfig"].update(Privileged=True), "'Privileged' is not allowed"),
    "unprivileged, but an unknown key": (lambda b: b["HostConfig"].update(Privileged=False), "'Privileged'"),
    "privileged in another case": (
        lambda b: b["HostConfig"].update(privileged=True),
        "'privileged' is not allowed",
    ),
    "a second host configuration": (lambda b: b.update(hostconfig={"Privileged": True}), "given twice"),
    "the socket": (lambda b: b["HostConfig"].update(Binds=["/var/run/docker.sock:/s"]), "'Binds'"),
    "a host mount": (
        lambda b: b["HostConfig"].update(Mounts=[{"Type": "bind", "Source": "/", "Target": "/host"}]),
        "'Mounts'",
    ),
    "the gate's volume": (lambda b: b.update(Volumes={"/tmp": {}, "gate:/run": {}}), "Volumes must be"),
    "another volume": (lambda b: b.update(Volumes={"/data": {}}), "Volumes must be"),
    "volumes of another container": (lambda b: b["HostConfig"].update(VolumesFrom=["gate"]), "'VolumesFrom'"),
    "the host's network": (lambda b: b["HostConfig"].update(NetworkMode="host"), "NetworkMode must be"),
    "a container's network": (
        lambda b: b["HostConfig"].update(NetworkMode="container:gate"),
        "NetworkMode must be",
    ),
    "the host's processes": (lambda b: b["HostConfig"].update(PidMode="host"), "'PidMode'"),
    "the host's IPC": (lambda b: b["HostConfig"].update(IpcMode="host"), "'IpcMode'"),
    "the host's users": (lambda b: b["HostConfig"].update(UsernsMode="host"), "'UsernsMode'"),
    "the host's messages": (lambda b: b["HostConfig"].update(IpcMode="host"), "'IpcMode'"),
    "the host's name": (lambda b: b["HostConfig"].update(UTSMode="host"), "'UTSMode'"),
    "the host's control groups": (lambda b: b["HostConfig"].update(CgroupnsMode="host"), "'CgroupnsMode'"),
    "kernel settings": (
        lambda b: b["HostConfig"].update(Sysctls={"kernel.core_pattern": "|/bin/sh"}),
        "'Sysctls'",
    ),
    "other limits": (
        lambda b: b["HostConfig"].update(Ulimits=[{"Name": "core", "Soft": -1, "Hard": -1}]),
        "'Ulimits'",
    ),
    "bare paths of /proc": (lambda b: b["HostConfig"].update(MaskedPaths=[]), "'MaskedPaths'"),
    "a writable /proc": (lambda b: b["HostConfig"].update(ReadonlyPaths=[]), "'ReadonlyPaths'"),
    "a device by request": (
        lambda b: b["HostConfig"].update(DeviceRequests=[{"Count": -1, "Capabilities": [["gpu"]]}]),
        "'DeviceRequests'",
    ),
    "devices by rule": (
        lambda b: b["HostConfig"].update(DeviceCgroupRules=["a *:* rwm"]),
        "'DeviceCgroupRules'",
    ),
    "groups": (lambda b: b["HostConfig"].update(GroupAdd=["0"]), "'GroupAdd'"),
    "names of hosts": (lambda b: b["HostConfig"].update(ExtraHosts=["s3:10.0.0.1"]), "'ExtraHosts'"),
    "links": (lambda b: b["HostConfig"].update(Links=["gate"]), "'Links'"),
    "never killed": (lambda b: b["HostConfig"].update(OomKillDisable=True), "'OomKillDisable'"),
    "killed last": (lambda b: b["HostConfig"].update(OomScoreAdj=-1000), "'OomScoreAdj'"),
    "another log": (
        lambda b: b["HostConfig"].update(LogConfig={"Type": "syslog", "Config": {}}),
        "'LogConfig'",
    ),
    "a file on the host": (
        lambda b: b["HostConfig"].update(ContainerIDFile="/etc/cron.d/x"),
        "'ContainerIDFile'",
    ),
    "a health check": (lambda b: b.update(Healthcheck={"Test": ["CMD", "id"]}), "'Healthcheck'"),
    "a build trigger": (lambda b: b.update(OnBuild=["RUN id"]), "'OnBuild'"),
    "another working directory": (lambda b: b.update(WorkingDir="/"), "'WorkingDir'"),
    "an added capability": (lambda b: b["HostConfig"].update(CapAdd=["SYS_ADMIN"]), "'CapAdd'"),
    "capabilities kept": (lambda b: b["HostConfig"].update(CapDrop=["NET_RAW"]), "CapDrop must be"),
    "a device": (
        lambda b: b["HostConfig"].update(Devices=[{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda"}]),
        "'Devices'",
    ),
    "seccomp off": (
        lambda b: b["HostConfig"].update(SecurityOpt=["no-new-privileges:true", "seccomp=unconfined"]),
        "SecurityOpt must be",
    ),
    "a writable root": (lambda b: b["HostConfig"].update(ReadonlyRootfs=False), "ReadonlyRootfs must be"),
    "truthy instead of true": (lambda b: b["HostConfig"].update(ReadonlyRootfs=1), "ReadonlyRootfs must be"),
    "hardening left out": (lambda b: b["HostConfig"].pop("SecurityOpt"), "SecurityOpt missing"),
    "no memory limit": (lambda b: b["HostConfig"].update(Memory=0, MemorySwap=0), "above 0"),
    "swap without end": (lambda b: b["HostConfig"].update(MemorySwap=-1), "above 0"),
    "swap beside memory": (lambda b: b["HostConfig"].update(MemorySwap=2**31), "must equal"),
    "no limit of processes": (lambda b: b["HostConfig"].update(PidsLimit=-1), "above 0"),
    "a limit that is no number": (lambda b: b["HostConfig"].update(CpuQuota=True), "above 0"),
    "another runtime": (lambda b: b["HostConfig"].update(Runtime="sysbox"), "'Runtime'"),
    "another cgroup": (lambda b: b["HostConfig"].update(CgroupParent="/"), "'CgroupParent'"),
    "a restart policy": (
        lambda b: b["HostConfig"].update(RestartPolicy={"Name": "always"}),
        "'RestartPolicy'",
    ),
    "published ports": (lambda b: b["HostConfig"].update(PublishAllPorts=True), "'PublishAllPorts'"),
    "root": (lambda b: b.update(User="0"), "User must be"),
    "nobody said": (lambda b: b.pop("User"), "User missing"),
    "another image": (lambda b: b.update(Image="debian:trixie-slim"), "Image must be"),
    "another location's image": (lambda b: b.update(Image="slipway/veteran:0.1.0"), "Image must be"),
    "an image by another name": (
        lambda b: b.update(Image="slipway/ecommerce:0.1.0@sha256:00"),
        "Image must be",
    ),
    "an entry point": (lambda b: b.update(Entrypoint=["/bin/sh"]), "'Entrypoint'"),
    "another command": (lambda b: b.update(Cmd=["/bin/sh", "-c", "id"]), "Cmd must be"),
    "an interpreter by relative path": (
        lambda b: b["Cmd"].__setitem__(0, "/opt/../bin/python"),
        "Cmd must be",
    ),
    "an argument before the worker": (lambda b: b["Cmd"].insert(1, "-X"), "Cmd must be"),
    "another network beside ours": (
        lambda b: b.update(NetworkingConfig={"EndpointsConfig": {"bridge": {}}}),
        "'NetworkingConfig'",
    ),
    "another project": (
        lambda b: b["Labels"].update({"slipway.project": "other"}),
        "not a run of project shop",
    ),
    "no run": (lambda b: b["Labels"].update({"slipway.kind": "service"}), "not a run of project shop"),
    "Compose's labels": (
        lambda b: b["Labels"].update({"com.docker.compose.project": "shop"}),
        "is not allowed",
    ),
    "an unknown location": (lambda b: b["Labels"].update({"slipway.location": "x"}), "no code location 'x'"),
    "a label that is no text": (lambda b: b["Labels"].update({"dagster/job_name": ["x"]}), "must be text"),
    "a run id that is none": (lambda b: b["Labels"].update({"dagster/run_id": "../x"}), "not a run id"),
    "environment without a value": (lambda b: b["Env"].append("PATH"), "NAME=value"),
    "host configuration as a list": (lambda b: b.update(HostConfig=[]), "must be an object"),
    "no host configuration": (lambda b: b.update(HostConfig=None), "must be an object"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_bodies_are_refused(case: str) -> None:
    change, reason = HOSTILE[case]
    body = copy.deepcopy(BODY)
    change(body)
    with pytest.raises(Refused, match=reason):
        create(json.dumps(body).encode())


def test_the_volume_of_the_locations_duckdb_file_goes_through_unchanged() -> None:
    assert create_body(FILES, json.dumps(WITH_FILE).encode(), NAME) == WITH_FILE


def mounts(*given: object) -> Change:
    return lambda body: body["HostConfig"].update(Mounts=list(given))


def mount(**change: object) -> Change:
    return mounts({**MOUNT, **change})


LOCAL_BIND = {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}

HOSTILE_MOUNTS: dict[str, tuple[Change, str]] = {
    "none where one belongs": (lambda b: b["HostConfig"].pop("Mounts"), "Mounts missing"),
    "an empty list": (mounts(), "Mounts must be"),
    "no list": (lambda b: b["HostConfig"].update(Mounts=MOUNT), "Mounts must be"),
    "null": (lambda b: b["HostConfig"].update(Mounts=None), "Mounts must be"),
    "twice the same": (mounts(MOUNT, MOUNT), "Mounts must be"),
    "a second one": (
        mounts(MOUNT, {**MOUNT, "Source": "/", "Type": "bind", "Target": "/h"}),
        "Mounts must be",
    ),
    "a folder of the host": (mount(Type="bind", Source="/"), "Mounts must be"),
    "a folder of the host as a volume": (mount(Source="/etc"), "Mounts must be"),
    "the volume's folder on the host": (
        mount(Type="bind", Source="/var/lib/docker/volumes/shop_duckdb_ecommerce/_data"),
        "Mounts must be",
    ),
    "a bind by the volume's name": (mount(Type="bind"), "Mounts must be"),
    "a tmpfs": (mount(Type="tmpfs"), "Mounts must be"),
    "a named pipe": (mount(Type="npipe"), "Mounts must be"),
    "an image": (mount(Type="image", Source="slipway/veteran:0.1.0"), "Mounts must be"),
    "a cluster volume": (mount(Type="cluster"), "Mounts must be"),
    "a type in another case": (mount(Type="Volume"), "Mounts must be"),
    "another location's volume": (mount(Source="shop_duckdb_veteran"), "Mounts must be"),
    "another project's volume": (mount(Source="other_duckdb_ecommerce"), "Mounts must be"),
    "the database's volume": (mount(Source="shop_postgres"), "Mounts must be"),
    "the gate's socket": (mount(Source="shop_gate"), "Mounts must be"),
    "a name with a slash": (mount(Source="shop_duckdb_ecommerce/../shop_gate"), "Mounts must be"),
    "a name with more behind it": (mount(Source="shop_duckdb_ecommerce\n"), "Mounts must be"),
    "an anonymous volume": (mount(Source=""), "Mounts must be"),
    "another folder": (mount(Target="/opt/venv"), "Mounts must be"),
    "a folder by another way": (mount(Target="/var/lib/slipway/duckdb/../../../../etc"), "Mounts must be"),
    "a folder with a slash": (mount(Target="/var/lib/slipway/duckdb/"), "Mounts must be"),
    "a driver's options": (mount(VolumeOptions={"DriverConfig": LOCAL_BIND}), "Mounts must be"),
    "a driver": (mount(VolumeOptions={"DriverConfig": {"Name": "vieux/sshfs"}}), "Mounts must be"),
    "a part of the volume": (mount(VolumeOptions={"Subpath": "../.."}), "Mounts must be"),
    "labels of the volume": (mount(VolumeOptions={"Labels": {"a": "b"}}), "Mounts must be"),
    "no copy": (mount(VolumeOptions={"NoCopy": True}), "Mounts must be"),
    "empty options": (mount(VolumeOptions={}), "Mounts must be"),
    "propagation": (mount(BindOptions={"Propagation": "rshared"}), "Mounts must be"),
    "a folder made on the host": (mount(BindOptions={"CreateMountpoint": True}), "Mounts must be"),
    "read-only": (mount(ReadOnly=True), "Mounts must be"),
    "a key in another case beside ours": (mount(source="/"), "is given twice"),
    "the volume as a bind": (
        lambda b: b["HostConfig"].update(Binds=["shop_duckdb_ecommerce:/var/lib/slipway/duckdb"]),
        "'Binds'",
    ),
    "the volume as a bind, relabelled": (
        lambda b: b["HostConfig"].update(Binds=["shop_duckdb_ecommerce:/var/lib/slipway/duckdb:z"]),
        "'Binds'",
    ),
    "a relative bind": (lambda b: b["HostConfig"].update(Binds=["../../etc:/etc:Z"]), "'Binds'"),
    "no binds at all": (lambda b: b["HostConfig"].update(Binds=[]), "'Binds'"),
    "the driver of volumes": (lambda b: b["HostConfig"].update(VolumeDriver="local"), "'VolumeDriver'"),
    "volumes of another run": (
        lambda b: b["HostConfig"].update(VolumesFrom=[f"slipway-run-{RUN}:rw"]),
        "'VolumesFrom'",
    ),
    "a tmpfs over it": (
        lambda b: b["HostConfig"].update(Tmpfs={"/var/lib/slipway/duckdb": "exec"}),
        "'Tmpfs'",
    ),
    "an anonymous volume over it": (
        lambda b: b.update(Volumes={"/tmp": {}, "/var/lib/slipway/duckdb": {}}),
        "Volumes must be",
    ),
}


@pytest.mark.parametrize("case", HOSTILE_MOUNTS)
def test_any_other_mount_is_refused(case: str) -> None:
    change, reason = HOSTILE_MOUNTS[case]
    body = copy.deepcopy(WITH_FILE)
    change(body)
    with pytest.raises(Refused, match=reason):
        create_body(FILES, json.dumps(body).encode(), NAME)


def test_a_location_without_a_duckdb_file_has_no_mounts_not_even_that_of_another() -> None:
    body = copy.deepcopy(WITH_FILE)
    body["Labels"]["slipway.location"] = "veteran"
    body["Image"] = "slipway/veteran:0.1.0"
    for source in ("shop_duckdb_ecommerce", "shop_duckdb_veteran"):
        body["HostConfig"]["Mounts"] = [{**MOUNT, "Source": source}]
        with pytest.raises(Refused, match="'Mounts' is not allowed"):
            create_body(FILES, json.dumps(body).encode(), NAME)
    del body["HostConfig"]["Mounts"]
    assert create_body(FILES, json.dumps(body).encode(), NAME) == body


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not JSON"),
        (b"null", "must be an object"),
        (b"[" * 100_000, "not JSON"),
        (json.dumps(BODY).encode() + b'{"HostConfig": {"Privileged": true}}', "not JSON"),
        (json.dumps(BODY).replace('"User"', '"User": "0", "User"').encode(), "'User' is given twice"),
        (json.dumps(BODY).replace('"Memory"', '"Memory": 9, "memory"').encode(), "is given twice"),
        (json.dumps(BODY).replace('"Memory"', '"Privileged": true, "Memory"').encode(), "'Privileged'"),
        (json.dumps(BODY).replace("512", "NaN").encode(), "NaN is not JSON"),
        (json.dumps(BODY).replace("512", "5e2").encode(), "above 0"),
        (json.dumps(BODY).replace("HOME", "\\\\ud800").replace("\\\\u", "\\u").encode(), "not JSON"),
        (json.dumps(BODY).encode("utf-16"), "not JSON"),
        # Go folds the Kelvin sign and the long s to ASCII letters when it matches keys
        (json.dumps(BODY).replace('"Volumes"', '"U\\u017fer": "0", "Volumes"').encode(), "given twice"),
    ],
)
def test_bodies_that_two_parsers_may_read_differently_are_refused(text: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        create(text)


def test_a_name_other_than_the_runs_is_refused() -> None:
    with pytest.raises(Refused, match="the name must be"):
        create(json.dumps(BODY).encode(), "slipway-run-" + RUN.replace("0", "1"))
    with pytest.raises(Refused, match="the name must be"):
        create_body(BOUNDARY, json.dumps(BODY).encode(), None)


ALLOWED = [
    ("GET", "/_ping", None),
    ("HEAD", "/_ping", None),
    ("GET", "/version", None),
    ("GET", "/v1.45/info", None),
    ("GET", "/v1.45/containers/abc/json", "abc"),
    ("POST", f"/v1.45/containers/{NAME}/start", NAME),
    ("POST", f"/v1.45/containers/{NAME}/stop?t=25", NAME),
    ("POST", f"/containers/{NAME}/wait?condition=not-running", NAME),
    ("GET", f"/v1.45/containers/{NAME}/logs?stdout=1&stderr=1&tail=50&timestamps=0&follow=0", NAME),
    ("DELETE", f"/v1.45/containers/{NAME}?v=True&force=False&link=False", NAME),
]


@pytest.mark.parametrize(("method", "target", "container"), ALLOWED)
def test_what_the_launcher_uses_is_passed(method: str, target: str, container: str | None) -> None:
    passed = decide(BOUNDARY, method, target, b"")
    assert passed.container == container
    assert passed.method == method
    rebuilt = passed.path.replace("{container}", container or "")
    assert rebuilt == target.partition("?")[0]


REFUSED = [
    ("POST", "/v1.45/containers/x/exec"),
    ("POST", "/v1.45/exec/x/start"),
    ("POST", "/v1.45/containers/x/attach"),
    ("POST", "/v1.45/containers/x/update"),
    ("POST", "/v1.45/containers/x/kill"),
    ("POST", "/v1.45/containers/x/rename?name=y"),
    ("PUT", "/v1.45/containers/x/archive?path=/"),
    ("GET", "/v1.45/containers/x/archive?path=/"),
    ("GET", "/v1.45/containers/x/export"),
    ("POST", "/v1.45/images/create?fromImage=debian"),
    ("POST", "/v1.45/build"),
    ("GET", "/v1.45/images/json"),
    ("POST", "/v1.45/volumes/create"),
    ("GET", "/v1.45/volumes"),
    ("POST", "/v1.45/networks/x/connect"),
    ("GET", "/v1.45/events"),
    ("POST", "/v1.45/containers/prune"),
    ("POST", "/v1.45/swarm/init"),
    ("GET", "/v1.45/plugins"),
    ("POST", "/v1.45/commit?container=x&repo=slipway/ecommerce&tag=0.1.0"),
    ("POST", "/v1.45/images/load"),
    ("POST", "/v1.45/images/debian/tag?repo=slipway/ecommerce&tag=0.1.0"),
    ("DELETE", "/v1.45/images/slipway/ecommerce:0.1.0"),
    ("GET", "/v1.45/images/x/get"),
    ("GET", "/v1.45/volumes/shop_duckdb_ecommerce"),
    ("DELETE", "/v1.45/volumes/shop_duckdb_ecommerce?force=1"),
    ("POST", "/v1.45/volumes/prune"),
    ("POST", "/v1.45/networks/create"),
    ("POST", "/v1.45/plugins/pull?remote=x"),
    ("POST", "/v1.45/secrets/create"),
    ("GET", "/v1.45/system/df"),
    ("POST", "/v1.45/auth"),
    ("GET", "/v1.45/distribution/debian/json"),
    ("GET", "/v1.45/containers/x/top?ps_args=aux"),
    ("GET", "/v1.45/containers/x/stats"),
    ("GET", "/v1.45/containers/x/changes"),
    ("POST", "/v1.45/containers/x/resize?h=1&w=1"),
    ("POST", "/v1.45/containers/x/restart"),
    ("POST", "/v1.45/containers/x/pause"),
    ("POST", "/v1.45/containers/x/attach/ws"),
    ("HEAD", "/v1.45/containers/x/archive?path=/"),
    ("POST", "/grpc"),
    ("POST", "/session"),
    ("GET", "/"),
    ("GET", ""),
    ("OPTIONS", "*"),
    # other spellings of a path that is allowed, or a way out of it
    ("GET", "//containers/x/json"),
    ("GET", "/v1.45//containers/x/json"),
    ("GET", "/containers/x/../y/exec/json"),
    ("GET", "/containers/../containers/x/json"),
    ("GET", "/containers/%2e%2e/json"),
    ("GET", "/containers/%252e%252e/json"),
    ("GET", "/containers/..%2f..%2fimages/json"),
    ("GET", "/containers/x/json;a"),
    ("GET", "/containers/x/json#/../exec"),
    ("GET", "/containers\\x\\json"),
    ("POST", "/containers/x/start/../exec"),
    ("POST", "/containers/x/start%0d%0aX: y"),
    ("GET", "/containers/x%2fexec/json"),
    ("GET", "/containers/x/json/"),
    ("GET", "/containers/x/json%00"),
    ("GET", "/containers/x/json\n"),
    ("GET", "/containers/.x/json"),
    ("GET", "/CONTAINERS/x/json"),
    ("GET", "http://docker/containers/x/json"),
    ("GET", "/v1.24/containers/x/json"),
    ("GET", "/v2.45/containers/x/json"),
    ("GET", "/v1.45/v1.45/containers/x/json"),
    ("POST", "/containers/x/json"),
    ("get", "/containers/x/json"),
    # query parameters
    ("POST", "/containers/x/start?detachKeys=a"),
    ("POST", "/containers/x/stop?t=-1"),
    ("POST", "/containers/x/stop?t=1&t=2"),
    ("POST", "/containers/x/stop?signal=SIGSTOP"),
    ("GET", "/containers/x/json?size=1"),
    ("DELETE", "/containers/x?link=1"),
    ("POST", f"/containers/create?name={NAME}&platform=linux"),
    ("POST", "/containers/create?name=gate"),
    ("GET", "/containers/json?filters=%ff"),
    ("GET", "/containers/json?before=x"),
]


@pytest.mark.parametrize(("method", "target"), REFUSED)
def test_everything_else_is_refused(method: str, target: str) -> None:
    with pytest.raises(Refused):
        decide(BOUNDARY, method, target, b"")


@pytest.mark.parametrize("target", [f"/containers/{NAME}/start", "/containers/json", "/info"])
def test_a_body_where_none_belongs_is_refused(target: str) -> None:
    method = "POST" if target.endswith("start") else "GET"
    with pytest.raises(Refused, match="a body is only allowed"):
        decide(BOUNDARY, method, target, b'{"Binds": ["/:/host"]}')


def test_a_list_is_narrowed_to_our_runs() -> None:
    ours = ["slipway.project=shop", "slipway.kind=run"]
    passed = decide(BOUNDARY, "GET", "/v1.45/containers/json?all=1&limit=-1&size=0&trunc_cmd=0", b"")
    assert json.loads(passed.query["filters"]) == {"label": ours}
    given = json.dumps({"label": ["slipway.project=other"], "status": ["running"]})
    assert json.loads(list_filters(BOUNDARY, given)) == {
        "status": ["running"],
        "label": ["slipway.project=other", *ours],
    }


@pytest.mark.parametrize(
    "given",
    [
        '{"label!": ["slipway.kind=run"]}',
        '{"volume": ["gate"]}',
        '{"label": {"slipway.project": false}}',
        '{"label": ["a"], "Label": ["b"]}',
        "[]",
        "{",
    ],
)
def test_filters_that_could_widen_a_list_are_refused(given: str) -> None:
    with pytest.raises(Refused):
        list_filters(BOUNDARY, given)


@pytest.mark.parametrize(
    "labels",
    [
        None,
        {},
        {"slipway.project": "shop"},
        {"slipway.project": "shop", "slipway.kind": "service"},
        {"slipway.project": "other", "slipway.kind": "run"},
    ],
)
def test_containers_of_others_are_refused(labels: object) -> None:
    with pytest.raises(Refused, match="not a run of project shop"):
        own(BOUNDARY, labels)


def test_only_the_size_of_the_host_is_told() -> None:
    passed = decide(BOUNDARY, "GET", "/info", b"")
    assert passed.answer_keys is not None
    assert {"NCPU", "MemTotal"} <= set(passed.answer_keys)
    assert not {"Swarm", "RegistryConfig", "HttpProxy", "Name", "Labels"} & set(passed.answer_keys)
