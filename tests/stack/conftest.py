"""One stack for all tests of containers; images are built once. Tests that disturb it come last."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from composed import IMAGE_TAG, Stack, prepare

ROOT = Path(__file__).resolve().parents[2]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "disruptive: stops or kills services of the stack; runs after the others"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("disruptive") is not None)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The platform in containers, healthy; afterwards nothing of it is left."""
    stack = Stack(tmp_path_factory.mktemp("checkout"))
    prepare(ROOT, stack.folder)
    slipway = str(Path(sys.executable).with_name("slipway"))
    stack.run(slipway, "compose")
    try:
        output = stack.compose("up", "--detach", "--build", "--wait", check=False, timeout=900)
        broken = {
            name: container
            for name, container in stack.services().items()
            if container.status != "running" and name != "bootstrap"
        }
        unhealthy = "unhealthy" in output or "dependency failed" in output or "exited" in output
        if broken or unhealthy or not stack.services():
            logs = stack.compose("logs", "--tail", "60", check=False)
            pytest.fail(f"{output[-4000:]}\n{logs[-12000:]}", pytrace=False)
        yield stack
    finally:
        if "KEEP_STACK" in os.environ:
            print(f"kept: project {stack.project}, {stack.folder}, UI {stack.ui_port}, S3 {stack.s3_port}")
        else:
            stack.run(str(stack.folder / "scripts" / "compose-down.sh"), VOLUMES="1")
            left = nothing_left(stack)
            for location in ("ecommerce", "veteran"):
                stack.run("docker", "rmi", f"slipway/{location}:{IMAGE_TAG}", check=False)
            stack.engine.close()
            assert left == []


def nothing_left(stack: Stack) -> list[str]:
    """Names of what is left of the stack: containers, of runs too, volumes and networks."""
    ours = [f"com.docker.compose.project={stack.project}", f"slipway.project={stack.project}"]
    left: list[str] = []
    for label in ours:
        filters = {"label": label}
        left += [found.name for found in stack.engine.containers.list(all=True, filters=filters)]
        left += [found.name for found in stack.engine.volumes.list(filters=filters)]
        left += [found.name for found in stack.engine.networks.list(filters=filters)]
    return left
