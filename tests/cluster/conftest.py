"""One install for all tests on a cluster, in a namespace that enforces `restricted`; images are built and loaded once.

`KEEP_CLUSTER=1` leaves it there, and `CLUSTER_NAMESPACE=…` takes one that was left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from composed import IMAGE_TAG
from doomed import Doomed
from installed import RELEASE, Installed, namespace_objects, prepare, proxy_objects
from waiting import until

ROOT = Path(__file__).resolve().parents[2]

ORDER = [
    "test_install",
    "test_landing",
    "test_runs",
    "test_ui",
    "test_failures",
    "test_out_of_memory",
    "test_interruptions",
    "test_start_timeout",
    "test_many",
    "test_upgrade",
    "test_bad_input",
    "test_removal",
]
"""What is looked at first, and what changes or removes the install last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else -1)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The platform on the cluster, with the first sample files landed; afterwards nothing of it is left."""
    kept = os.environ.get("CLUSTER_NAMESPACE")
    installed = Installed(tmp_path_factory.mktemp("checkout"), kept)
    prepare(ROOT, installed.folder)
    try:
        if kept is None:
            _install(installed)
        yield installed
    finally:
        if kept or "KEEP_CLUSTER" in os.environ:
            print(f"kept: namespace {installed.namespace}, {installed.folder}")
            installed.close()
        else:
            _remove(installed)


def _install(installed: Installed) -> None:
    namespace, *rest = namespace_objects(installed.namespace)
    installed.apply(namespace)
    installed.apply(*rest, *proxy_objects())
    log = installed.folder / "cluster-up.log"
    installed.run_command("sh", "-c", f"scripts/cluster-up.sh >{log} 2>&1", check=False, TIMEOUT="4m")
    output = log.read_text()
    if "UI:" not in output:
        pytest.fail(f"{output[-6000:]}\n{_state(installed)}", pytrace=False)


def _state(installed: Installed) -> str:
    """What a person would look at first when an install does not come up."""
    logs = [
        installed.kubectl(
            "logs", "--all-containers", "--prefix", "--tail=40", f"pod/{pod['metadata']['name']}", check=False
        )
        for pod in installed.list("pods", f"app.kubernetes.io/instance={RELEASE}")
    ]
    events = installed.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False)
    return "\n".join([installed.kubectl("get", "pods", check=False), *logs, events[-4000:]])[-20000:]


def _remove(installed: Installed) -> None:
    # what the tests made beside the release, or the namespace would be kept for it
    installed.kubectl("delete", "deployment/api-proxy", "--ignore-not-found", "--wait", check=False)
    output = installed.run_command("scripts/cluster-down.sh", VOLUMES="1", check=False)
    installed.kubectl("delete", "namespace", installed.namespace, "--ignore-not-found", check=False)
    namespace = installed.api.get(f"/api/v1/namespaces/{installed.namespace}")
    left = until(lambda: not volumes_of(installed), 60, lambda: f"volumes are left: {volumes_of(installed)}")
    for image in ("platform", "ecommerce", "veteran", "launched"):
        installed.run_command("docker", "rmi", f"slipway/{image}:{IMAGE_TAG}", check=False)
    installed.close()
    assert (namespace, left) == (None, True), output
    assert f"Namespace {installed.namespace} is kept" not in output, output


def volumes_of(installed: Installed) -> list[str]:
    """Names of the cluster's volumes that claims of the namespace have."""
    found = installed.api.get("/api/v1/persistentvolumes")
    assert found is not None
    return [
        volume["metadata"]["name"]
        for volume in found["items"]
        if volume["spec"].get("claimRef", {}).get("namespace") == installed.namespace
    ]


@pytest.fixture(scope="session")
def doomed(installed: Installed) -> Doomed:
    """Runs that cannot start: what one module sees of them begins a minute before what the other does."""
    return Doomed(installed)
