"""Who may speak to whom, as the rendered policies say: asked as a cluster that enforces them would ask."""

from collections.abc import Iterator
from typing import Any

import pytest

from chart_platforms import MATRIX, everything, rendered
from charts import Object, Rendered, Values, at, merged, platform, render

SERVERS = ("webserver", "webserver-read-only", "daemon", "bootstrap", "code-server", "run", "test")
COMPONENTS = (*SERVERS, "postgres", "localstack")


def labels(component: str, location: str | None = None) -> dict[str, str]:
    """The labels of a pod, as the chart or the launcher give them."""
    found = {
        "app.kubernetes.io/name": "slipway",
        "app.kubernetes.io/instance": "slipway",
        "app.kubernetes.io/component": component,
    }
    return found if location is None else {**found, "slipway/location": location}


def matches(selector: Object, pod: dict[str, str]) -> bool:
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if pod.get(expression["key"]) not in expression["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= pod.items())


def rules(chart: Rendered, direction: str, pod: dict[str, str]) -> Iterator[Object]:
    """The rules that hold for a pod; it is an error when none of the policies chooses it."""
    chosen = [
        policy["spec"]
        for policy in chart.of("NetworkPolicy")
        if matches(policy["spec"]["podSelector"], pod)
        and direction.capitalize() in policy["spec"]["policyTypes"]
    ]
    assert chosen, f"nothing is denied to {pod}"
    for policy in chosen:
        yield from policy.get(direction, [])


def allowed(rule: Object, peers: str, other: Any, port: int) -> bool:
    """Whether a rule allows a peer: labels of a pod of the release, or a peer of the user's as it is."""
    ports = [one["port"] for one in rule.get("ports", [])]
    if ports and port not in ports:
        return False
    if peers not in rule:
        return True
    if not (isinstance(other, dict) and "app.kubernetes.io/name" in other):
        return other in rule[peers]
    return any(
        "podSelector" in peer and "namespaceSelector" not in peer and matches(peer["podSelector"], other)
        for peer in rule[peers]
    )


def leaves(chart: Rendered, pod: dict[str, str], to: Any, port: int) -> bool:
    return any(allowed(rule, "to", to, port) for rule in rules(chart, "egress", pod))


def enters(chart: Rendered, pod: dict[str, str], origin: Any, port: int) -> bool:
    return any(allowed(rule, "from", origin, port) for rule in rules(chart, "ingress", pod))


def speaks(chart: Rendered, origin: dict[str, str], to: dict[str, str], port: int) -> bool:
    """Whether a pod reaches another: it may leave the one and enter the other."""
    return leaves(chart, origin, to, port) and enters(chart, to, origin, port)


@pytest.mark.parametrize("name", MATRIX)
def test_every_pod_is_denied_what_is_not_allowed(name: str) -> None:
    chart = rendered(name)
    pods = [template["metadata"]["labels"] for _, template in chart.templates()]
    for pod in [*pods, labels("run", "ecommerce")]:
        list(rules(chart, "ingress", pod))
        list(rules(chart, "egress", pod))


PORTS = {
    "webserver": 3000,
    "webserver-read-only": 3000,
    "code-server": 4000,
    "postgres": 5432,
    "localstack": 4566,
}
USERS: dict[str, set[str]] = {
    "webserver": {"test"},
    "webserver-read-only": set(),
    "code-server": {"webserver", "webserver-read-only", "daemon", "run", "test"},
    "postgres": set(SERVERS),
    "localstack": set(SERVERS),
}


@pytest.mark.parametrize("to", USERS)
def test_who_reaches_whom(to: str) -> None:
    chart = rendered("read-only")
    reach = {one for one in COMPONENTS if speaks(chart, labels(one), labels(to), PORTS[to])}
    assert reach - {"bootstrap"} == USERS[to] - {"bootstrap"}
    assert ("bootstrap" in reach) is ("bootstrap" in USERS[to])


def test_nobody_reaches_what_serves_nobody() -> None:
    for to in ("daemon", "run", "bootstrap", "test"):
        for port in PORTS.values():
            assert not any(enters(rendered("default"), labels(to), labels(one), port) for one in COMPONENTS)


def test_only_on_their_ports() -> None:
    assert not speaks(rendered("default"), labels("webserver"), labels("code-server"), 22)
    assert not speaks(rendered("default"), labels("run"), labels("postgres"), 22)


def test_everybody_finds_names() -> None:
    for one in COMPONENTS:
        assert leaves(rendered("default"), labels(one), {"ipBlock": {"cidr": "10.96.0.10/32"}}, 53)


def test_the_daemon_alone_reaches_the_api_server() -> None:
    peer = everything()["kubernetes"]["networkPolicies"]["apiServerTo"][0]
    for one in SERVERS:
        assert leaves(rendered("everything"), labels(one), peer, 6443) is (one == "daemon")


def test_own_postgres_and_s3_are_reached_where_they_are() -> None:
    policies = everything()["kubernetes"]["networkPolicies"]
    for one in SERVERS:
        chart = rendered("everything")
        assert leaves(chart, labels(one), policies["postgresTo"][0], 6432)
        assert leaves(chart, labels(one), policies["storageTo"][0], 9000)
        assert not leaves(chart, labels(one), policies["postgresTo"][0], 9000)
        assert not leaves(chart, labels(one), policies["storageTo"][0], 443)
    assert not enters(rendered("default"), labels("postgres"), {"ipBlock": {"cidr": "10.0.0.9/32"}}, 5432)


@pytest.mark.parametrize(
    ("storage", "ports"),
    [
        (
            {
                "endpoint": "http://s3.example.com",
                "access_key_id": {"env": "A"},
                "secret_access_key": {"env": "B"},
            },
            {80},
        ),
        (
            {
                "endpoint": "https://s3.example.com",
                "access_key_id": {"env": "A"},
                "secret_access_key": {"env": "B"},
            },
            {443},
        ),
        (
            {
                "endpoint": "https://s3:9000/x",
                "access_key_id": {"env": "A"},
                "secret_access_key": {"env": "B"},
            },
            {9000},
        ),
        (
            {
                "endpoint": "https://[fd00::1]:9000",
                "access_key_id": {"env": "A"},
                "secret_access_key": {"env": "B"},
            },
            {9000},
        ),
        ({}, {443, 80}),
        ({"endpoint": "https://s3.example.com:9000"}, {9000, 443, 80}),
    ],
)
def test_ports_of_storages(storage: Values, ports: set[int]) -> None:
    """Without credentials, those of the cloud are asked for: over 443, or of the node over 80."""
    chart = render(merged(platform(storage={"default": {"bundled": None}}), at("storage.default", storage)))
    peer = {"ipBlock": {"cidr": "0.0.0.0/0"}}
    assert {port for port in (80, 443, 4566, 9000) if leaves(chart, labels("run"), peer, port)} == ports


def test_a_location_reaches_what_it_declares_and_no_other_does() -> None:
    chart = rendered("everything")
    peer = {"ipBlock": {"cidr": "203.0.113.0/24"}}
    for component in ("code-server", "run"):
        assert leaves(chart, labels(component, "ecommerce"), peer, 443)
        assert not leaves(chart, labels(component, "veteran"), peer, 443)
    assert not leaves(chart, labels("daemon"), peer, 443)


def test_the_ingress_controller_reaches_the_webservers_alone() -> None:
    peer = everything()["kubernetes"]["networkPolicies"]["webserverFrom"][0]
    reached = {
        one
        for one in COMPONENTS
        for port in PORTS.values()
        if enters(rendered("everything"), labels(one), peer, port)
    }
    assert reached == {"webserver", "webserver-read-only"}


def test_they_can_be_left_to_others() -> None:
    chart = render(platform(kubernetes={"networkPolicies": {"enabled": False}}))
    assert chart.of("NetworkPolicy") == []
