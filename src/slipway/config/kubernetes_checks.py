"""Checks between keys of the section `kubernetes`, and between it and what all runtimes have.

The chart refuses the same when it is rendered; here they have a line, and are found without a cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from slipway.config import duckdb, quantity
from slipway.config.base import OWN_VARIABLES
from slipway.config.errors import Path
from slipway.config.findings import Finding, at, entries, items, nearest, valid
from slipway.config.kubernetes import Kubernetes, ServerResources, merged

SERVERS = ("webserver", "webserverReadOnly", "daemon", "bootstrap", "codeServers", "postgres", "localstack")
"""The components of the chart that are servers or their Jobs."""

OWN_LABELS = (
    *(f"app.kubernetes.io/{name}" for name in ("name", "instance", "component", "managed-by", "version")),
    "helm.sh/chart",
    "slipway/location",
    "slipway/profile",
    "dagster/run-id",
    "dagster/job",
)
"""Labels by which the chart, its Services and the launcher find their own."""


def all_checks(data: Any) -> list[Finding]:
    """Every check over plain values, of whatever shape they are."""
    kubernetes = at(data, "kubernetes")
    return [
        *_location_names(data),
        *_environments(data),
        *_labels(kubernetes),
        *_tolerations(kubernetes),
        *_resources(kubernetes),
        *_accounts(kubernetes),
        *_ingresses(kubernetes),
        *_one_door(kubernetes),
        *_smoke_test(data),
    ]


def _location_names(data: Any) -> Iterator[Finding]:
    known = [name for name, _ in entries(data, "code_locations")]
    for name, _ in entries(data, "kubernetes", "codeLocations"):
        if name not in known:
            yield Finding(
                ("kubernetes", "codeLocations", name),
                f"there is no code location '{name}'",
                nearest(name, known),
            )


# Environments


def _environments(data: Any) -> Iterator[Finding]:
    for path, section in _places(at(data, "kubernetes")):
        here = (*path, "env")
        given = [(index, item) for index, item in items(section, "env") if isinstance(at(item, "name"), str)]
        counts = Counter(item["name"] for _, item in given)
        location = str(path[2]) if path[1] == "codeLocations" else None
        for index, item in given:
            name = item["name"]
            if name.startswith(OWN_VARIABLES):
                yield Finding((*here, index, "name"), f"{name} is the platform's own", "choose another name")
            elif counts.pop(name, 1) > 1:
                yield Finding((*here, index, "name"), f"{name} is given more than once", "keep one")
            elif path[-1] == "runs" and name in duckdb.VARIABLES:
                yield Finding(
                    (*here, index, "name"),
                    f"a run's resource profile decides {name}",
                    "put it into the env of a profile under infrastructure.resource_profiles",
                )
            elif location is not None and name in dict(entries(data, "code_locations", location, "env")):
                yield Finding(
                    (*here, index, "name"),
                    f"{name} is given in code_locations.{location}.env too",
                    "keep one: there it counts on every runtime, here on Kubernetes alone",
                )
            if "value" in item and "valueFrom" in item:
                yield Finding((*here, index), f"{name} has both value and valueFrom", "keep one")


def _places(kubernetes: Any) -> Iterator[tuple[Path, Any]]:
    """The sections that say where pods go and what they carry."""
    for component in (*SERVERS, "runs"):
        yield ("kubernetes", component), at(kubernetes, component)
    for name, raw in entries(kubernetes, "codeLocations"):
        yield ("kubernetes", "codeLocations", name), raw
        yield ("kubernetes", "codeLocations", name, "runs"), at(raw, "runs")


# What Kubernetes would refuse, or the chart undo


def _labels(kubernetes: Any) -> Iterator[Finding]:
    sections: list[tuple[Path, Any]] = [(("kubernetes", "commonLabels"), at(kubernetes, "commonLabels"))]
    sections += [((*path, "podLabels"), at(section, "podLabels")) for path, section in _places(kubernetes)]
    for path, labels in sections:
        for name, _ in entries(labels):
            if name in OWN_LABELS:
                yield Finding((*path, name), "the platform sets this label itself", "choose another name")


def _tolerations(kubernetes: Any) -> Iterator[Finding]:
    for path, section in _places(kubernetes):
        for index, item in items(section, "tolerations"):
            here: Path = (*path, "tolerations", index)
            operator = at(item, "operator")
            if operator == "Exists" and at(item, "value"):
                yield Finding((*here, "value"), "operator Exists takes no value", "remove one of the two")
            if at(item, "key") is None and operator in (None, "Equal"):
                yield Finding(here, "no key", "name the taint's key, or operator: Exists for every taint")
            if at(item, "tolerationSeconds") is not None and at(item, "effect") != "NoExecute":
                yield Finding(
                    (*here, "tolerationSeconds"),
                    "is for effect NoExecute alone",
                    "remove it, or give the effect",
                )


def _resources(kubernetes: Any) -> Iterator[Finding]:
    defaults = Kubernetes().model_dump(by_alias=True, exclude_none=True)
    for container in (*((server,) for server in SERVERS), ("localstack", "keeper")):
        given = at(kubernetes, *container, "resources")
        whole = merged(at(defaults, *container, "resources"), given or {})
        yield from _fitting(("kubernetes", *container, "resources"), given, whole)
    servers = merged(defaults["codeServers"]["resources"], at(kubernetes, "codeServers", "resources") or {})
    for name, raw in entries(kubernetes, "codeLocations"):
        given = at(raw, "resources")
        whole = merged(servers, given or {})
        yield from _fitting(("kubernetes", "codeLocations", name, "resources"), given, whole)


def _fitting(path: Path, given: Any, whole: Any) -> Iterator[Finding]:
    """Limits that are no smaller than requests, where the file gives one of the two."""
    resources = valid(ServerResources, whole)
    if resources is None:
        return
    parsers: dict[str, Callable[[str], Any]] = {
        "cpu": quantity.parse_cpu,
        "memory": quantity.parse_bytes,
        "ephemeral-storage": quantity.parse_bytes,
    }
    for name, parse in parsers.items():
        field = name.replace("-", "_")
        request, limit = getattr(resources.requests, field), getattr(resources.limits, field)
        if request is None or limit is None or parse(limit) >= parse(request):
            continue
        if at(given, "limits", name) is not None:
            yield Finding(
                (*path, "limits", name),
                f"{limit} is below the request of {request}",
                f"raise it, or lower requests.{name}",
            )
        elif at(given, "requests", name) is not None:
            yield Finding(
                (*path, "requests", name),
                f"{request} is above the limit of {limit}",
                f"lower it, or raise limits.{name} too",
            )


def _accounts(kubernetes: Any) -> Iterator[Finding]:
    for component in (*SERVERS, "runs"):
        account = at(kubernetes, component, "serviceAccount")
        if at(account, "name") and at(account, "annotations"):
            yield Finding(
                ("kubernetes", component, "serviceAccount", "annotations"),
                "are for the account that the chart makes, and name is one of your own",
                "annotate that one, or remove name",
            )


# Doors


_BEHIND = {"full": "webserver", "readOnly": "webserverReadOnly"}


def _ingresses(kubernetes: Any) -> Iterator[Finding]:
    for door, component in _BEHIND.items():
        ingress = at(kubernetes, "ingress", door)
        path: Path = ("kubernetes", "ingress", door)
        authenticated = bool(at(ingress, "authentication", "annotations"))
        anyone = at(ingress, "allowUnauthenticated") is True
        if at(ingress, "enabled") is not True:
            continue
        if not at(ingress, "host"):
            yield Finding(
                (*path, "enabled"), "true, and there is no host", "give host, such as dagster.example.com"
            )
        if not authenticated and not anyone:
            yield Finding(
                (*path, "enabled"),
                "true, and whoever reaches it may do everything: Dagster asks nobody who they are"
                if door == "full"
                else "true, and whoever reaches it may read everything: Dagster asks nobody who they are",
                "give authentication.annotations, which your ingress controller understands, or "
                "allowUnauthenticated: true",
            )
        if authenticated and anyone:
            yield Finding(
                (*path, "allowUnauthenticated"),
                "true, and there are authentication.annotations",
                "remove one of the two",
            )
        replicas = at(kubernetes, component, "replicas")
        if replicas == 0 or (replicas is None and component == "webserverReadOnly"):
            yield Finding(
                (*path, "enabled"),
                f"true, and kubernetes.{component}.replicas is 0: nothing would answer",
                f"give kubernetes.{component}.replicas: 1",
            )


def _one_door(kubernetes: Any) -> Iterator[Finding]:
    """Two Ingresses for one address: the controller would take either."""
    full, read_only = (at(kubernetes, "ingress", door) for door in ("full", "readOnly"))
    if at(full, "enabled") is not True or at(read_only, "enabled") is not True:
        return
    addresses = {(at(one, "host"), str(at(one, "path") or "").rstrip("/")) for one in (full, read_only)}
    if len(addresses) == 1 and at(full, "host"):
        yield Finding(
            ("kubernetes", "ingress", "readOnly", "host"),
            f"{at(full, 'host')} is the full webserver's too",
            "give it a host or path of its own",
        )


def _smoke_test(data: Any) -> Iterator[Finding]:
    """What `helm test` lands is for a landing and a location that there are."""
    path: Path = ("kubernetes", "test")
    test = at(data, "kubernetes", "test")
    for key, section in (("landing", "landing"), ("location", "code_locations")):
        known = [name for name, _ in entries(data, section)]
        name = at(test, key)
        if isinstance(name, str) and name not in known:
            yield Finding((*path, key), f"{section} has no '{name}'", nearest(name, known))
    location = at(test, "location")
    if (
        isinstance(location, str)
        and isinstance(at(test, "table"), str)
        and at(data, "code_locations", location, "duckdb_file") is not None
    ):
        yield Finding(
            (*path, "table"),
            f"the tables of {location} are in a DuckDB file, which runs alone have",
            "leave it out; the test then waits for the file's run alone",
        )
