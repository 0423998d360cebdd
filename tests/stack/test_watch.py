"""`docker compose watch`: an edited location is rebuilt, and the UI and the next run have its new code."""

from __future__ import annotations

import subprocess

import pytest

from composed import Stack
from waiting import until

ADDED = """

@dg.asset
def veteran_added() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"seen": dg.MetadataValue.json({"new": "code"})})


defs = dg.Definitions(assets=[veteran_probe, veteran_added], resources={"environment": Environment()})
"""


@pytest.mark.disruptive
def test_an_edited_location_is_rebuilt(stack: Stack) -> None:
    watch = subprocess.Popen(
        ["docker", "compose", "watch", "--no-up", "code-veteran"],
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert watch.stdout is not None
        # it says so once it looks; nothing before is seen
        for line in watch.stdout:
            if "watch" in line.lower():
                break
        probe = stack.folder / "code_locations/veteran/src/veteran/defs/veteran_probe.py"
        with probe.open("a") as file:
            file.write(ADDED)
        until(lambda: "veteran_added" in assets(stack), 120, "the UI does not have the new asset")
    finally:
        watch.terminate()
        watch.communicate(timeout=30)
    assert stack.seen(stack.launch("veteran", "veteran_added")) == {"new": "code"}


def assets(stack: Stack) -> set[str]:
    nodes = stack.graphql("{ assetNodes { assetKey { path } } }")["assetNodes"]
    return {"/".join(node["assetKey"]["path"]) for node in nodes}
