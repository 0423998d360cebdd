"""`helm upgrade` and `helm rollback`: what changed is there, and nothing else was touched."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from composed import IMAGE_TAG
from installed import RELEASE, Installed
from waiting import until

NEXT_TAG = f"{IMAGE_TAG}-next"

ADDED = """
import dagster as dg

from launched import crowding, definitions


@dg.asset
def added() -> None:
    pass


defs = dg.Definitions.merge(definitions.defs, crowding.defs, dg.Definitions(assets=[added]))
"""

LOAD = """
import json, sys, time, urllib.request
from http.client import HTTPException

QUERY = '''mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }'''
PARAMS = {"selector": {"repositoryLocationName": "launched", "repositoryName": "__repository__", "jobName": "counting"},
          "runConfigData": {}, "executionMetadata": {"tags": []}}
print("ready", flush=True)
launched, refused, until, at = [], [], time.time() + float(sys.argv[2]), 0
while time.time() < until:
    try:
        urllib.request.urlopen(sys.argv[1] + "/server_info", timeout=20).read()
        if time.time() > at:
            at = time.time() + 4
            body = json.dumps({"query": QUERY, "variables": {"params": PARAMS}}).encode()
            request = urllib.request.Request(sys.argv[1] + "/graphql", body, {"Content-Type": "application/json"})
            answer = json.load(urllib.request.urlopen(request, timeout=60))["data"]["launchRun"]
            if "run" in answer:
                launched.append(answer["run"]["runId"])
            else:
                refused.append(str(answer))
    except (OSError, HTTPException) as error:
        refused.append(f"{time.time()}: {error!r}")
    time.sleep(0.1)
print(json.dumps({"launched": launched, "refused": refused}))
"""
"""Launches runs through the webserver's service, from inside of the cluster, while somebody rolls what is behind it."""


def waits(installed: Installed, seconds: float) -> str:
    """A run on the profile `tiny` that waits for so long; its id."""
    return installed.launch_job(
        "launched",
        "waiting",
        ops={"wait": {"config": {"seconds": seconds}}},
        tags={"slipway/profile": "tiny"},
    )


def memory_of_the_next_run(installed: Installed) -> str:
    """The memory limit of a run's pod that is launched now."""
    run_id = waits(installed, 3)
    job = until(lambda: installed.get("jobs", f"slipway-run-{run_id}"), 60, "the run has no Job")
    limit: str = job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    return limit


def test_a_changed_profile_counts_for_the_next_run_and_restarts_nothing(installed: Installed) -> None:
    before = installed.servers()
    installed.upgrade("--set", "infrastructure.resource_profiles.tiny.limits.memory=704Mi")
    assert memory_of_the_next_run(installed) == "704Mi"
    assert installed.servers() == before
    installed.run_command("helm", "rollback", RELEASE, "--namespace", installed.namespace, "--wait")
    assert memory_of_the_next_run(installed) == "640Mi"
    assert installed.servers() == before


@pytest.fixture
def next_image(installed: Installed) -> Iterator[str]:
    """The location's image with one asset more, in the cluster; its tag."""
    context = installed.folder / "next"
    context.mkdir()
    (context / "together.py").write_text(ADDED)
    (context / "Dockerfile").write_text(
        f"FROM slipway/launched:{IMAGE_TAG}\n"
        "COPY --chmod=644 together.py /opt/location/src/launched/together.py\n"
    )
    image = f"slipway/launched:{NEXT_TAG}"
    installed.run_command("docker", "build", "--quiet", "--tag", image, str(context))
    installed.run_command("scripts/cluster-load.sh", image)
    yield NEXT_TAG
    installed.run_command("docker", "rmi", image, check=False)


def test_a_new_image_of_a_location_rolls_that_alone(installed: Installed, next_image: str) -> None:
    going_on = waits(installed, 600)
    installed.says(going_on, "holding on", 90)
    before = installed.servers()
    installed.upgrade("--set", f"code_locations.launched.image.tag={next_image}")
    upgraded = time.monotonic()
    until(lambda: "added" in assets(installed), 30, lambda: f"{assets(installed)}")
    print(f"new definitions {time.monotonic() - upgraded:.0f} s after the upgrade")
    after = installed.servers()
    changed = before.keys() ^ after.keys()
    assert {name.rsplit("-", 2)[0] for name in changed} == {f"{RELEASE}-code-launched"}
    assert {name: before[name] for name in before.keys() & after.keys()} == {
        name: after[name] for name in before.keys() & after.keys()
    }

    new = installed.launch("launched", "added")
    assert installed.finished(new)["status"] == "SUCCESS", installed.failure(new)
    assert installed.run(going_on)["status"] == "STARTED", installed.messages(going_on)
    [pod] = installed.run_pods(going_on)
    assert pod["spec"]["containers"][0]["image"].endswith(f":{IMAGE_TAG}")
    installed.terminate(going_on)
    assert installed.finished(going_on, 90)["status"] == "CANCELED"

    installed.run_command("helm", "rollback", RELEASE, "--namespace", installed.namespace, "--wait")
    until(lambda: "added" not in assets(installed), 30, "the rollback shows the new definitions")


def assets(installed: Installed) -> set[str]:
    """The assets of the location as the webserver knows them."""
    nodes = installed.graphql("{ assetNodes { assetKey { path } repository { location { name } } } }")[
        "assetNodes"
    ]
    return {
        node["assetKey"]["path"][-1] for node in nodes if node["repository"]["location"]["name"] == "launched"
    }


def test_servers_rolled_under_load_fail_no_run_no_tick_and_no_request(installed: Installed) -> None:
    began = datetime.now(UTC).timestamp()
    inside = ["kubectl", "--namespace", installed.namespace, "exec", f"deployment/{RELEASE}-daemon", "--"]
    with subprocess.Popen(
        [*inside, "python", "-c", LOAD, f"http://{RELEASE}-webserver", "45"],
        stdout=subprocess.PIPE,
        text=True,
    ) as load:
        assert load.stdout is not None
        assert load.stdout.readline() == "ready\n"
        for name in ("code-launched", "webserver"):
            installed.kubectl("rollout", "restart", f"deployment/{RELEASE}-{name}")
        for name in ("code-launched", "webserver"):
            installed.kubectl("rollout", "status", f"deployment/{RELEASE}-{name}", "--timeout=120s")
        result = json.loads(load.stdout.read())
    assert len(result["launched"]) >= 5
    for run_id in result["launched"]:
        assert installed.finished(run_id)["status"] == "SUCCESS", installed.failure(run_id)
    assert failed_ticks(installed, began) == []
    assert result["refused"] == []


def failed_ticks(installed: Installed, since: float) -> list[str]:
    """Errors of ticks of any sensor or schedule since a moment."""
    found = installed.graphql(
        """query($since: Float!) { instigationStatesOrError: repositoriesOrError {
             ... on RepositoryConnection { nodes { sensors { name sensorState {
               ticks(afterTimestamp: $since, statuses: [FAILURE]) { error { message } } } } } } } }""",
        since=since,
    )["instigationStatesOrError"]["nodes"]
    return [
        f"{sensor['name']}: {tick['error']['message']}"
        for node in found
        for sensor in node["sensors"]
        for tick in sensor["sensorState"]["ticks"]
    ]
