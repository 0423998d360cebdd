"""A run in its container: its limits, what it sees, and what it cannot reach."""

from __future__ import annotations

from docker.errors import NotFound
from docker.models.containers import Container

from composed import TOKEN, Stack
from waiting import until


def test_a_run_has_its_profiles_limits_and_its_own_environment(stack: Stack) -> None:
    run_id = stack.launch("ecommerce", "ecommerce_probe")
    host = until(lambda: container_of(stack, run_id), 60, "no container for the run").attrs["HostConfig"]
    seen = stack.seen(run_id)

    assert host["Memory"] == host["MemorySwap"] == 1024**3
    assert host["MemoryReservation"] == 512 * 1024**2
    assert host["CpuQuota"] == host["CpuPeriod"]
    assert 0 < host["PidsLimit"] <= 4096
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert host["NetworkMode"] == f"{stack.project}_backend"
    assert not host["Binds"]
    assert "Mounts" not in host

    assert seen["plain"] == "a $5 plan"
    assert seen["token"] == TOKEN
    assert seen["uid"] == 10001
    assert int(seen["capabilities"], 16) == 0
    assert seen["no_new_privileges"] == "1"
    assert seen["writable"] == ["/tmp"]
    assert "SLIPWAY_DUCKDB_FILE" not in seen["environment"]
    assert seen["sockets"] == []
    assert seen["gate"] == []
    tags = {tag["key"]: tag["value"] for tag in stack.finished(run_id)["tags"]}
    assert tags["slipway/profile"] == "small"
    until(lambda: container_of(stack, run_id) is None, 60, "the run's container is still there")


def test_no_location_sees_the_environment_of_another(stack: Stack) -> None:
    seen = stack.seen(stack.launch("veteran", "veteran_probe"))
    assert not [name for name in seen["environment"] if name.startswith("STACK_")]
    assert "SLIPWAY_DUCKDB_FILE" in seen["environment"]
    assert seen["sockets"] == []
    for service, expected in {"code-veteran": 0, "code-ecommerce": 2, "webserver": 0}.items():
        environment = stack.services()[service].attrs["Config"]["Env"]
        assert len([entry for entry in environment if entry.startswith("STACK_")]) == expected, service


def test_a_code_server_cannot_reach_the_gate(stack: Stack) -> None:
    script = "import socket; socket.socket(socket.AF_UNIX).connect('/run/slipway/gate/docker.sock')"
    code, output = stack.execute("code-ecommerce", "python", "-c", script)
    assert (code, "FileNotFoundError" in output) == (1, True)
    code, output = stack.execute(
        "code-ecommerce", "python", "-c", "import socket; socket.gethostbyname('gate')"
    )
    assert (code, "gaierror" in output) == (1, True)
    # and the daemon, by the same means, can
    assert stack.execute("daemon", "python", "-c", script) == (0, "")


def container_of(stack: Stack, run_id: str) -> Container | None:
    try:
        return stack.engine.containers.get(f"slipway-run-{run_id}")
    except NotFound:
        return None
