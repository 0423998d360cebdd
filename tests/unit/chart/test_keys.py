"""Every key of `kubernetes` changes what is rendered: one that did nothing would be a promise that nobody keeps."""

from functools import cache
from typing import Any

import pytest

from chart_platforms import EXTERNAL
from charts import Object, Refused, Values, at, merged, platform, render
from slipway.config import schema
from slipway.config.kubernetes import Kubernetes

KEYS = [key for key, _ in schema.leaves(Kubernetes)]

LAUNCHER = {"runs.env", "codeLocations.<name>.runs.env"}
"""What the chart passes on, in the ConfigMap, to the launcher: its own tests see it in the pods of runs."""

SMOKE_TEST = "test."
"""What `slipway smoke-test` reads of the ConfigMap."""

BASE = platform(
    code_locations={"ecommerce": {"duckdb_file": "a.duckdb", "env": {"TOKEN": {"env": "TOKEN"}}}},
    kubernetes={
        "webserverReadOnly": {"replicas": 1},
        "ingress": {
            "full": {"enabled": True, "host": "a.example.com", "authentication": {"annotations": {"a": "b"}}},
            "readOnly": {
                "enabled": True,
                "host": "b.example.com",
                "authentication": {"annotations": {"a": "b"}},
            },
        },
    },
)
"""A platform in which every key has something to change."""

BASES = {"bundled": BASE, "external": merged(BASE, EXTERNAL)}

PEER = [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
RULE = {"requiredDuringSchedulingIgnoredDuringExecution": []}
VALUES: dict[str, Any] = {
    "repository": "other/image",
    "tag": "other",
    "imageRegistry": "registry.example.com",
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "environmentSecret": "other",
    "tolerations": [{"operator": "Exists"}],
    "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}},
    "podAffinity": RULE,
    "podAntiAffinity": RULE,
    "topologySpreadConstraints": [
        {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "priorityClassName": "important",
    "env": [{"name": "OTHER", "value": "other"}],
    "cpu": "321m",
    "memory": "321Mi",
    "ephemeral-storage": "321Mi",
    "name": "other",
    "replicas": 4,
    "type": "NodePort",
    "port": 1234,
    "egress": [{"to": PEER}],
    "size": "321Gi",
    "storageClassName": "other",
    "className": "other",
    "host": "other.example.com",
    "path": "/other",
    "tls": [{"hosts": ["a.example.com"], "secretName": "other"}],
    "networkPolicies.enabled": False,
    "enabled": False,
    "dnsTo": PEER,
    "webserverFrom": PEER,
    "postgresTo": PEER,
    "storageTo": PEER,
    "apiServerTo": PEER,
    "apiServerPorts": [1234],
    "podDisruptionBudgets": False,
}


def other(key: str) -> Any:
    """A value that is not the key's default."""
    if key.endswith(".<name>"):
        return {"other": "other"}
    return VALUES.get(key.split(".")[-1])


def objects(values: Values) -> dict[str, Object]:
    """What is rendered, without the platform's own text, of which every key is a part."""
    rendered = render(values).comparable()
    for each in rendered.values():
        if each["kind"] == "ConfigMap":
            each["data"] = "…"
        if each["kind"] == "Job":
            for container in each["spec"]["template"]["spec"]["containers"]:
                container["env"] = [
                    one for one in container.get("env", []) if one["name"] != "SLIPWAY_PLATFORM_JSON"
                ]
    return rendered


@cache
def unchanged(base: str) -> dict[str, Object]:
    """What is rendered when nothing is set."""
    return objects(BASES[base])


@pytest.mark.parametrize(
    "key",
    [
        key
        for key in KEYS
        if key not in LAUNCHER and not key.startswith(SMOKE_TEST) and "allowUnauthenticated" not in key
    ],
)
def test_it_changes_what_is_rendered(key: str) -> None:
    value = other(key)
    assert value is not None, f"this test has no value for {key}"
    base = "external" if key.endswith(("postgresTo", "storageTo")) else "bundled"
    path = f"kubernetes.{key.removesuffix('.<name>').replace('<name>', 'ecommerce')}"
    assert objects(merged(BASES[base], at(path, value))) != unchanged(base)


@pytest.mark.parametrize("door", ["full", "readOnly"])
def test_who_is_let_in_unauthenticated(door: str) -> None:
    assert f"ingress.{door}.allowUnauthenticated" in KEYS
    closed = merged(BASE, at(f"kubernetes.ingress.{door}.authentication", None))
    with pytest.raises(Refused, match="Dagster asks nobody"):
        render(closed)
    render(merged(closed, at(f"kubernetes.ingress.{door}.allowUnauthenticated", True)))


def test_the_exceptions_are_keys() -> None:
    assert set(KEYS) >= LAUNCHER
