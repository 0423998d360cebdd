"""What an upgrade restarts: the pods that read at their start what changed, and no others."""

from typing import Any

import pytest

from charts import Values, at, merged, platform, render
from slipway import draining
from slipway.webserver import serving

ALL = {
    "Deployment slipway-webserver",
    "Deployment slipway-webserver-read-only",
    "Deployment slipway-daemon",
    "Deployment slipway-code-ecommerce",
    "Deployment slipway-code-veteran",
    "StatefulSet slipway-postgres",
    "StatefulSet slipway-localstack",
}
ECOMMERCE = {"Deployment slipway-code-ecommerce"}
DAEMON = {"Deployment slipway-daemon"}
SERVICES = {"Deployment slipway-webserver", "Deployment slipway-webserver-read-only"} | DAEMON
SERVERS = SERVICES | ECOMMERCE | {"Deployment slipway-code-veteran"}
BASE = platform(kubernetes={"webserverReadOnly": {"replicas": 1}})


def restarted(over: Values) -> set[str]:
    """The servers whose pods are new after an upgrade."""
    before, after = (
        {
            owner: pod
            for owner, pod in render(values).templates()
            if owner.startswith(("Deployment", "StatefulSet"))
        }
        for values in (BASE, merged(BASE, over))
    )
    assert set(before) == ALL
    return {owner for owner in before if after.get(owner) != before[owner]}


LOCATION = {"path": "p", "image": {"repository": "a", "tag": "1"}}
CASES: dict[str, tuple[str, Any, set[str]]] = {
    "nothing": ("defaults", {}, set()),
    "a profile": ("infrastructure.resource_profiles.small.limits.memory", "3Gi", set()),
    "a new profile": ("infrastructure.resource_profiles.large", {}, set()),
    "the default profile": ("defaults.profile", "medium", set()),
    "the time to start": ("defaults.start_timeout", 60, set()),
    "a location's profile": ("code_locations.ecommerce.profile", "medium", set()),
    "where runs go": ("kubernetes.runs.nodeSelector", {"a": "b"}, set()),
    "what runs carry": ("kubernetes.codeLocations.ecommerce.runs.env", [{"name": "A", "value": "b"}], set()),
    "days of logs": ("observability.compute_logs.retention_days", 3, set()),
    "seconds between uploads": ("observability.compute_logs.upload_interval", 3, set()),
    "runs at once": ("concurrency.max_concurrent_runs", 9, set()),
    "a pool": ("concurrency.pools.api", 2, set()),
    "a DuckDB file": ("code_locations.veteran.duckdb_file", "a.duckdb", set()),
    "a network policy": ("kubernetes.networkPolicies.apiServerPorts", [1], set()),
    "a budget": ("kubernetes.podDisruptionBudgets", False, set()),
    "a location's image": ("code_locations.ecommerce.image.tag", "2", ECOMMERCE),
    "a location's variable": ("code_locations.ecommerce.env.A", "b", ECOMMERCE),
    "a location's reference": ("code_locations.ecommerce.env.A", {"env": "B"}, ECOMMERCE),
    "a code server's resources": (
        "kubernetes.codeLocations.ecommerce.resources.limits.memory",
        "3Gi",
        ECOMMERCE,
    ),
    "a landing": ("landing.other", {"bucket": "other"}, DAEMON),
    "a new location": ("code_locations.other", LOCATION, SERVICES),
    "a location less": ("code_locations.veteran", None, SERVICES | {"Deployment slipway-code-veteran"}),
    "the logs' bucket": ("observability.compute_logs.bucket", "other", SERVERS),
    "another storage": ("storage.other.region", "eu-central-1", SERVERS),
    "the platform's image": (
        "kubernetes.image.tag",
        "0.2.0",
        SERVICES | {"StatefulSet slipway-localstack"},
    ),
    "the registry": ("kubernetes.imageRegistry", "registry.example.com", ALL),
}


@pytest.mark.parametrize("case", CASES)
def test_what_restarts(case: str) -> None:
    path, value, expected = CASES[case]
    assert restarted(at(path, value)) == expected


def test_a_location_s_new_image_changes_its_deployment_and_what_tells_of_it() -> None:
    before = render(platform()).comparable()
    after = render(platform(code_locations={"ecommerce": {"image": {"tag": "2"}}})).comparable()
    assert {name for name in before if before[name] != after[name]} == {
        "Deployment slipway-code-ecommerce",
        "ConfigMap slipway-platform",
        "ConfigMap slipway-locations",
        "Job slipway-bootstrap",
    }


def test_servers_are_replaced_one_by_one_and_the_daemon_is_not() -> None:
    rendered = render(BASE)
    for deployment in rendered.of("Deployment"):
        strategy = deployment["spec"]["strategy"]
        if deployment["metadata"]["name"] == "slipway-daemon":
            assert strategy == {"type": "Recreate"}
        else:
            assert strategy == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_servers_have_longer_to_end_than_they_take() -> None:
    rendered = render(BASE)
    grace = {
        name: rendered.pod("Deployment", name)["spec"]["terminationGracePeriodSeconds"]
        for name in ("slipway-webserver", "slipway-code-ecommerce")
    }
    assert grace["slipway-webserver"] > draining.SECONDS + serving.FINISH_SECONDS
    assert grace["slipway-code-ecommerce"] > draining.SECONDS + 60


def test_code_that_does_not_import_takes_nobodys_place() -> None:
    (server,) = render(BASE).pod("Deployment", "slipway-code-ecommerce")["spec"]["containers"]
    assert server["startupProbe"]["exec"]["command"] == ["python", "-m", "slipway.ops.health", "code-server"]


def test_replicas_of_one_code_server_are_one_to_their_clients() -> None:
    def server_id(replicas: int) -> Any:
        values = merged(BASE, at("kubernetes.codeServers.replicas", replicas))
        (server,) = render(values).pod("Deployment", "slipway-code-ecommerce")["spec"]["containers"]
        return next((one["valueFrom"] for one in server["env"] if one["name"] == "SLIPWAY_SERVER_ID"), None)

    assert server_id(1) is None
    assert server_id(2) == {"fieldRef": {"fieldPath": "metadata.labels['pod-template-hash']"}}


def test_replicas_spread_over_nodes_unless_said_otherwise() -> None:
    assert "topologySpreadConstraints" not in render(BASE).pod("Deployment", "slipway-webserver")["spec"]
    several = merged(BASE, at("kubernetes.webserver.replicas", 2))
    pod = render(several).pod("Deployment", "slipway-webserver")
    (constraint,) = pod["spec"]["topologySpreadConstraints"]
    assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
    assert constraint["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    mine = [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
    over = at("kubernetes.webserver.topologySpreadConstraints", mine)
    pod = render(merged(several, over)).pod("Deployment", "slipway-webserver")
    assert pod["spec"]["topologySpreadConstraints"] == mine
    over = at("kubernetes.webserver.affinity.podAntiAffinity", {"a": []})
    assert (
        "topologySpreadConstraints"
        not in render(merged(several, over)).pod("Deployment", "slipway-webserver")["spec"]
    )
