"""What `make cluster-up` installs: pods that are ready, and hold no more than they need."""

from __future__ import annotations

import json
from typing import Any

import pytest

from installed import RELEASE, Installed, condition, variables
from waiting import until

COMPONENTS = {
    "webserver": 1,
    "daemon": 1,
    "code-server": 3,
    "postgres": 1,
    "localstack": 1,
}


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_pods_are_ready_where_only_restricted_ones_may_be(installed: Installed, component: str) -> None:
    pods = installed.pods(component)
    assert len(pods) == COMPONENTS[component]
    assert [pod["metadata"]["name"] for pod in pods if not condition(pod, "Ready")] == []
    restarts = [status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]]
    assert restarts == [0] * len(restarts)


def test_nothing_was_refused_or_warned_of(installed: Installed) -> None:
    log = installed.folder / "cluster-up.log"
    if log.exists():
        assert "Warning" not in log.read_text()
    refused = [event["message"] for event in installed.list("events", reason="FailedCreate")]
    assert refused == []


def test_every_container_has_requests_limits_and_a_probe(installed: Installed) -> None:
    for pod in installed.list("pods", f"app.kubernetes.io/instance={RELEASE}"):
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), (component, container["name"])
            assert {"cpu", "memory"} <= resources["limits"].keys(), (component, container["name"])
        if component in COMPONENTS:
            [first, *_] = pod["spec"]["containers"]
            assert {"readinessProbe", "livenessProbe"} <= first.keys(), component


def test_only_the_daemon_has_a_token(installed: Installed) -> None:
    holders = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]
        for pod in installed.list("pods", f"app.kubernetes.io/instance={RELEASE}")
        if tokens(pod)
    }
    assert holders == {"daemon"}


def tokens(pod: dict[str, Any]) -> list[str]:
    """Volumes of a pod that hold a token."""
    return [
        volume["name"]
        for volume in pod["spec"].get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]


@pytest.mark.parametrize(
    ("verb", "what", "allowed"),
    [
        ("create", "jobs.batch", True),
        ("list", "jobs.batch", True),
        ("delete", "jobs.batch", True),
        ("list", "pods", True),
        ("delete", "pods", True),
        ("get", "pods/log", True),
        ("list", "events", True),
        ("get", f"configmaps/{RELEASE}-platform", True),
        ("get", "configmaps/kube-root-ca.crt", False),
        ("get", "secrets", False),
        ("create", "pods", False),
        ("create", "pods/exec", False),
        ("patch", "deployments.apps", False),
    ],
)
def test_the_daemon_may_do_what_it_does_and_no_more(
    installed: Installed, verb: str, what: str, allowed: bool
) -> None:
    assert may(installed, f"{RELEASE}-daemon", verb, what) is allowed


def test_no_other_account_may_do_anything(installed: Installed) -> None:
    for account in installed.list("serviceaccounts"):
        name = account["metadata"]["name"]
        if name != f"{RELEASE}-daemon":
            assert not may(installed, name, "list", "pods"), name
            assert not may(installed, name, "create", "jobs.batch"), name


def may(installed: Installed, account: str, verb: str, what: str) -> bool:
    """Whether a service account may do something in the namespace."""
    answer = installed.kubectl(
        *("auth", "can-i", verb, what, "--as", f"system:serviceaccount:{installed.namespace}:{account}"),
        check=False,
    )
    assert answer.split()[0] in ("yes", "no"), answer
    return answer.startswith("yes")


def test_no_server_has_the_environment_of_another_location(installed: Installed) -> None:
    seen = {}
    for component in ("webserver", "daemon", "code-server"):
        for pod in installed.pods(component):
            names = variables(pod["spec"]["containers"][0])
            assert len(names) == len(set(names)), f"{component} has a variable twice"
            name = pod["metadata"]["labels"].get("slipway/location", component)
            seen[name] = {variable for variable in names if variable.startswith(("STACK_", "LOCATION_"))}
    assert seen == {
        "webserver": set(),
        "daemon": set(),
        "ecommerce": {"STACK_PLAIN", "STACK_TOKEN"},
        "veteran": set(),
        "launched": {"LOCATION_VALUE", "LOCATION_SECRET"},
    }


def test_every_location_is_loaded(installed: Installed) -> None:
    until(
        lambda: installed.locations() == {"ecommerce": "", "veteran": "", "launched": ""},
        60,
        lambda: str(installed.locations()),
    )


def test_two_bootstraps_at_once_do_no_harm(installed: Installed) -> None:
    """Each webserver pod bootstraps too: here both do at the same moment, and leave everything as it is."""
    before = installed.slipway("landing", "list", "jaffle_shop", "--json")
    installed.execute(
        f"deployment/{RELEASE}-daemon",
        "sh",
        "-c",
        "slipway bootstrap & first=$!; slipway bootstrap; second=$?; wait $first && exit $second",
    )
    after = installed.slipway("landing", "list", "jaffle_shop", "--json")
    keys = [{entry["key"] for entry in json.loads(listing)["objects"]} for listing in (before, after)]
    assert keys[0] <= keys[1]


def test_helm_test_lands_a_file_and_finds_its_rows(installed: Installed) -> None:
    output = installed.run_command(
        "helm", "test", RELEASE, "--namespace", installed.namespace, "--timeout", "5m", "--logs"
    )
    assert "Succeeded" in output


def test_every_object_says_whose_it_is(installed: Installed) -> None:
    wanted = {
        f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "managed-by", "version")
    } | {"helm.sh/chart"}
    for kind in ("pods", "services", "deployments", "statefulsets", "configmaps", "networkpolicies"):
        for found in installed.list(kind, f"app.kubernetes.io/instance={RELEASE}"):
            missing = wanted - found["metadata"]["labels"].keys()
            assert not missing, (kind, found["metadata"]["name"], missing)
