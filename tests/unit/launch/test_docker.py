"""The body of a create request, key by key: the gate refuses any other."""

import json
from pathlib import Path

import pytest

from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.gate import policy
from slipway.gate.policy import Boundary
from slipway.launch.adapter import WorkOrder
from slipway.launch.docker import DockerAdapter, create_body
from slipway.launch.runtimes import adapter
from slipway.profiles import resolve

PLATFORM = parse(
    """
infrastructure:
  resource_profiles:
    half: {limits: {cpu: 500m, memory: 1Gi}}
    odd: {requests: {cpu: 100m, memory: 700Mi}, limits: {cpu: 1500m, memory: 2Gi}}
""",
    "platform.yaml",
)


def order(profile, **more):
    given = {
        "run_id": "abc",
        "job_name": "job",
        "location": "one",
        "image": "one:1",
        "python": "/opt/venv/bin/python",
        "folder": Path("one"),
        "arguments": "{}",
        "env": {"B": "2", "A": "1=1"},
        "profile": resolve(PLATFORM, "one", run_tag=profile),
    }
    return WorkOrder(**{**given, **more})


def test_the_whole_body():
    assert create_body(order("odd"), project="p", network="n") == {
        "Image": "one:1",
        "Cmd": ["/opt/venv/bin/python", "-m", "slipway.worker", "{}"],
        "Env": ["A=1=1", "B=2"],
        "Labels": {
            "slipway.project": "p",
            "slipway.kind": "run",
            "slipway.location": "one",
            "dagster/run_id": "abc",
            "dagster/job_name": "job",
        },
        "User": "10001:10001",
        "Volumes": {"/tmp": {}},
        "HostConfig": {
            "Memory": 2 * 2**30,
            "MemorySwap": 2 * 2**30,
            "MemoryReservation": 700 * 2**20,
            "CpuPeriod": 100_000,
            "CpuQuota": 150_000,
            "PidsLimit": 512,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "NetworkMode": "n",
        },
    }


def test_a_location_with_a_duckdb_file_has_its_own_volume_and_nothing_else_changes():
    plain = create_body(order("odd"), project="p", network="n")
    body = create_body(order("odd", has_duckdb_file=True), project="p", network="n")
    (mount,) = body["HostConfig"].pop("Mounts")
    assert mount == {"Type": "volume", "Source": "p_duckdb_one", "Target": "/var/lib/slipway/duckdb"}
    assert body == plain


def test_the_gate_takes_the_bodies_that_the_launcher_makes():
    run = "0f6a2f0c-7a10-4c4e-9b6a-3f1f0a6b5c11"
    for with_file in (False, True):
        boundary = Boundary("p", "n", {"one": "one:1"}, frozenset({"one"} if with_file else ()))
        made = create_body(order("odd", run_id=run, has_duckdb_file=with_file), project="p", network="n")
        assert policy.create_body(boundary, json.dumps(made).encode(), f"slipway-run-{run}") == made


def test_numbers_are_integers_that_json_keeps():
    host = json.loads(json.dumps(create_body(order("half"), project="p", network="n")))["HostConfig"]
    assert host["CpuQuota"] == 50_000
    assert isinstance(host["CpuQuota"], int)
    assert host["MemoryReservation"] <= host["Memory"]


def test_labels_are_not_shared_between_launches():
    first, second = (create_body(order("half"), project="p", network="n") for _ in range(2))
    first["Labels"]["slipway.location"] = "changed"
    assert second["Labels"]["slipway.location"] == "one"


def test_what_the_services_must_set_is_named():
    with pytest.raises(UserError, match="SLIPWAY_PROJECT and SLIPWAY_DOCKER_NETWORK"):
        DockerAdapter.from_environment({})


def test_an_unknown_runtime_names_the_known_ones():
    with pytest.raises(UserError, match="'podman'; it must be 'process', 'docker' or 'kubernetes'"):
        adapter({"SLIPWAY_RUNTIME": "podman"}, on_exit=print)
