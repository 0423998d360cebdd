"""Renders the chart of helm/slipway: by Helm as a library, or by the program `helm` where the library has no wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

try:
    import helm_python
except ImportError:
    helm_python = None

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "slipway"

Object = dict[str, Any]
Values = dict[str, Any]


class Refused(Exception):
    """Helm does not render these values; the text is what it says to the user."""


def missing() -> str | None:
    """Why charts cannot be rendered here, or None."""
    if helm_python is None and shutil.which("helm") is None:
        return "neither helm-python-sdk nor the program helm is here"
    return None


def can_look_up() -> bool:
    """Whether things can be looked up in a stand-in for a cluster."""
    return helm_python is not None


@cache
def _platform_text() -> str:
    return (ROOT / "platform.yaml").read_text("utf-8")


def platform(**sections: Any) -> Values:
    """The repository's platform.yaml, with what is given merged over it as Helm merges a second values file."""
    return merged(yaml.safe_load(_platform_text()), sections)


def merged(base: Values, over: Mapping[str, Any]) -> Values:
    """One values file over another: maps by key, anything else whole, None removes."""
    result = deepcopy(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = merged({}, value) if isinstance(value, Mapping) else deepcopy(value)
    return result


def at(path: str, value: Any) -> Values:
    """Values with one key, named by its path: `kubernetes.daemon.env`."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


class Rendered:
    """The objects of a rendered chart."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.notes = next((text for name, text in texts.items() if name.endswith("NOTES.txt")), "")
        self.objects: list[Object] = [
            document
            for name, text in texts.items()
            if not name.endswith("NOTES.txt")
            for document in yaml.load_all(text, yaml.CSafeLoader)
            if document
        ]

    def of(self, kind: str) -> list[Object]:
        """All of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def names(self, kind: str) -> set[str]:
        """Their names."""
        return {one["metadata"]["name"] for one in self.of(kind)}

    def one(self, kind: str, name: str) -> Object:
        """The one of a kind and name."""
        found = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} {kind} named {name}; there is {sorted(self.names(kind))}"
        return found[0]

    def templates(self) -> Iterator[tuple[str, Object]]:
        """Every pod that comes of it, by the kind and name of what makes it."""
        for each in self.objects:
            owner = f"{each['kind']} {each['metadata']['name']}"
            if each["kind"] == "Pod":
                yield owner, each
            elif "template" in each.get("spec", {}):
                yield owner, each["spec"]["template"]

    def pod(self, kind: str, name: str) -> Object:
        """The pod template of one object."""
        return dict(self.templates())[f"{kind} {name}"]

    def comparable(self) -> dict[str, Object]:
        """Every object by kind and name, without what is new at each rendering."""
        result = {}
        for each in self.objects:
            known = deepcopy(each)
            if known["kind"] == "Secret":
                known["stringData"] = dict.fromkeys(known["stringData"], "new at each rendering")
            result[f"{known['kind']} {known['metadata']['name']}"] = known
        return result


def containers(template: Object) -> list[Object]:
    """All containers of a pod, those that come first included."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def environment(container: Object) -> dict[str, Object]:
    """Its environment by name."""
    return {entry["name"]: entry for entry in container.get("env", [])}


def render(
    values: Values, *, release: str = "slipway", namespace: str = "data", cluster: str | None = None
) -> Rendered:
    """Render the chart as `helm install` does; `cluster` is the address of an API server to look things up in,
    which the library alone can do (`can_look_up`): the program wants one that knows every kind.

    Raises:
        Refused: Helm refuses.
    """
    if helm_python is None:
        return Rendered(_by_program(values, release, namespace))
    try:
        with helm_python.Chart.load(CHART) as chart:
            if cluster is None:
                return Rendered(chart.render(values, name=release, namespace=namespace))
            with helm_python.Config(kube_apiserver=cluster, namespace=namespace) as connection:
                return Rendered(connection.render(chart, values, name=release, namespace=namespace))
    except helm_python.HelmError as error:
        raise Refused(str(error)) from error


def install(release: str, cluster: str) -> None:
    """Try out what `helm install` would do on the cluster behind the address, which begins with its version.

    Raises:
        Refused: Helm refuses.
    """
    if helm_python is None:
        result = _helm("install", release, CHART, "--dry-run=server", f"--kube-apiserver={cluster}")
        if result.returncode:
            raise Refused(result.stderr)
        return
    try:
        with helm_python.Config(kube_apiserver=cluster, storage_driver="memory") as connection:
            connection.install(str(CHART), release, dry_run="server")
    except helm_python.HelmError as error:
        raise Refused(str(error)) from error


def lint(values: Values) -> list[str]:
    """What `helm lint --strict` complains of."""
    if helm_python is None:
        result = _helm("lint", "--strict", CHART, "-f", "-", stdin=json.dumps(values))
        return [] if result.returncode == 0 else [result.stdout + result.stderr]
    report = helm_python.lint(CHART, values=values, strict=True)
    warnings = [message for message in report["messages"] if message["severity"] >= 2]
    return [*report["errors"], *(f"{one['path']}: {one['error']}" for one in warnings)]


def _by_program(values: Values, release: str, namespace: str) -> dict[str, str]:
    command = ["install", release, CHART, "-n", namespace, "-f", "-", "-o", "json", "--dry-run=client"]
    result = _helm(*command, stdin=json.dumps(values))
    if result.returncode:
        raise Refused(result.stderr)
    answer = json.loads(result.stdout)
    hooks = "".join(f"---\n{hook['manifest']}\n" for hook in answer.get("hooks") or ())
    return {"manifest": answer["manifest"] + hooks, "NOTES.txt": answer["info"].get("notes", "")}


def _helm(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["helm", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )
