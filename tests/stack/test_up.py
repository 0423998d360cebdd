"""What `docker compose up -d --wait` brings up in a clone."""

from __future__ import annotations

import json

import pytest

from composed import Stack
from waiting import until

SERVICES = {
    "postgres",
    "localstack",
    "storage-keeper",
    "bootstrap",
    "gate",
    "webserver",
    "daemon",
    "code-ecommerce",
    "code-veteran",
}
RUNNING = sorted(SERVICES - {"bootstrap"})
USER = {"postgres": 999, "gate": 0}
"""Services whose user is another than 10001."""


def test_every_service_is_there_and_healthy(stack: Stack) -> None:
    services = stack.services()
    assert services.keys() == SERVICES
    health = {name: services[name].attrs["State"].get("Health", {}).get("Status") for name in RUNNING}
    assert health == dict.fromkeys(RUNNING, "healthy")
    assert services["bootstrap"].attrs["State"]["ExitCode"] == 0


def test_an_image_brings_nothing_into_the_scratch_of_a_run(stack: Stack) -> None:
    # the engine copies it into the volume of each run's container: 300 MB of it once made a launch 9 s slower
    for image in (
        "slipway/platform:0.1.0",
        f"slipway/ecommerce:{_tag(stack)}",
        f"slipway/veteran:{_tag(stack)}",
    ):
        found = stack.engine.containers.run(image, ["find", "/tmp", "-mindepth", "1"], remove=True)
        assert (image, found.decode()) == (image, "")


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_the_container_is_hardened_and_limited(stack: Stack, service: str) -> None:
    container = stack.services()[service]
    host = container.attrs["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Privileged"] is False
    assert 0 < host["Memory"] <= 2 * 1024**3
    assert 0 < host["PidsLimit"] <= 512
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert host["RestartPolicy"]["Name"] == ("no" if service == "bootstrap" else "unless-stopped")


@pytest.mark.parametrize("service", RUNNING)
def test_its_process_has_no_more_than_it_should(stack: Stack, service: str) -> None:
    _, text = stack.execute(service, "cat", "/proc/1/status")
    status = {key: value.split() for key, _, value in (line.partition(":") for line in text.splitlines())}
    assert status["Uid"] == [str(USER.get(service, 10001))] * 4
    assert int(status["CapEff"][0], 16) == 0
    assert status["NoNewPrivs"] == ["1"]
    code, _ = stack.execute(service, "touch", "/etc/written", "/usr/written")
    assert code != 0


def test_only_ui_and_s3_are_published_and_only_to_this_machine(stack: Stack) -> None:
    published = {
        (name, binding["HostIp"], int(binding["HostPort"]))
        for name, container in stack.services().items()
        for bindings in (container.attrs["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert published == {
        ("webserver", "127.0.0.1", stack.ui_port),
        ("localstack", "127.0.0.1", stack.s3_port),
    }


def test_the_gate_alone_has_the_engines_socket(stack: Stack) -> None:
    mounts = {
        name: {mount.get("Name") or mount["Source"] for mount in container.attrs["Mounts"]}
        for name, container in stack.services().items()
    }
    assert [name for name, found in mounts.items() if "/var/run/docker.sock" in found] == ["gate"]
    with_gate = {name for name, found in mounts.items() if f"{stack.project}_gate" in found}
    assert with_gate == {"gate", "daemon", "webserver"}
    assert stack.services()["gate"].attrs["HostConfig"]["NetworkMode"] == "none"


def test_the_locations_load(stack: Stack) -> None:
    loaded = {"ecommerce": "", "veteran": ""}
    until(lambda: stack.locations() == loaded, 30, f"locations: {stack.locations()}")


def test_everybody_loads_the_checkouts_dagster_yaml(stack: Stack) -> None:
    expected = (stack.folder / "dagster.yaml").read_text()
    for service in ("webserver", "daemon", "code-ecommerce", "code-veteran"):
        code, found = stack.execute(service, "sh", "-c", 'cat "$DAGSTER_HOME/dagster.yaml"')
        assert (service, code, found) == (service, 0, expected)
    # the images have it too: runs and whoever starts an image without Compose
    for image in ("slipway/platform:0.1.0", f"slipway/ecommerce:{_tag(stack)}"):
        output = stack.engine.containers.run(image, ["cat", "/opt/slipway/dagster.yaml"], remove=True)
        assert output.decode() == expected


def test_the_users_override_changes_services_and_locations(stack: Stack) -> None:
    services = stack.services()
    assert services["code-veteran"].attrs["HostConfig"]["Memory"] == 768 * 1024**2
    assert "FROM_OVERRIDE=yes" in services["code-veteran"].attrs["Config"]["Env"]
    assert "SLIPWAY_LOCATION=veteran" in services["code-veteran"].attrs["Config"]["Env"]
    assert services["webserver"].labels["from.override"] == "yes"


def test_a_location_runs_its_own_python_and_dagster(stack: Stack) -> None:
    script = "import sys, json, dagster; print(json.dumps([sys.version_info[:2], dagster.__version__]))"
    versions = {
        service: json.loads(stack.execute(service, "python", "-c", script)[1])
        for service in ("webserver", "code-veteran")
    }
    assert versions["webserver"][0] != versions["code-veteran"][0]
    assert versions["webserver"][1] != versions["code-veteran"][1]


def _tag(stack: Stack) -> str:
    image: str = stack.services()["code-ecommerce"].attrs["Config"]["Image"]
    return image.rpartition(":")[2]
