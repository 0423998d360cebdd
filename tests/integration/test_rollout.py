"""A code server is replaced while old and new one answer behind one address: what is shown ends up all new.

Each of the eight workspaces is what a webserver or a daemon has. Without `rollout.following` some of them stay with
the old definitions, or with new definitions and the image of the old ones, for ever.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget

from code_servers import Service, code_server
from slipway import rollout
from waiting import until

WORKSPACES = 8
OVERLAP_SECONDS = 2
PROMISED_SECONDS = 30


def definitions(asset: str) -> str:
    return f"import dagster as dg\n\ndefs = dg.Definitions(assets=[dg.AssetSpec('{asset}')])\n"


@contextmanager
def workspace(
    instance: DagsterInstance, ports: list[int]
) -> Iterator[tuple[WorkspaceProcessContext, Service]]:
    service = Service(ports)
    target = GrpcServerTarget(host="127.0.0.1", port=service.port, socket=None, location_name="shop")
    try:
        with WorkspaceProcessContext(instance, target) as context, rollout.following(context):
            yield context, service
    finally:
        service.close()


def shown(context: WorkspaceProcessContext) -> tuple[str, str]:
    """The one asset, and the image that runs of it would have."""
    if not context.has_code_location("shop"):
        return "an error", ""
    location = context.create_request_context().get_code_location("shop")
    [repository] = location.get_repositories().values()
    [asset] = repository.asset_graph.get_all_asset_keys()
    return asset.to_user_string(), location.container_image


@pytest.mark.filterwarnings("ignore:Error loading repository location")
def test_everybody_shows_what_the_new_server_serves(tmp_path: Path) -> None:
    (tmp_path / "instance").mkdir()
    with ExitStack() as stack:
        instance = stack.enter_context(DagsterInstance.local_temp(str(tmp_path / "instance")))
        old, new = (
            stack.enter_context(
                code_server(tmp_path / name, definitions(name), DAGSTER_CURRENT_IMAGE=f"image:{name}")
            )
            for name in ("old", "new")
        )
        for server in (old, new):
            until(server.answers, 60)
        found = [stack.enter_context(workspace(instance, [old.port])) for _ in range(WORKSPACES)]
        assert {shown(context) for context, _ in found} == {("old", "image:old")}
        # the watch that Dagster has begins with what it hears first
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 1.5, 5)

        for _, service in found:
            service.ports = [old.port, new.port]
        began = time.monotonic()
        until(lambda: time.monotonic() - began > OVERLAP_SECONDS, OVERLAP_SECONDS + 5)
        for _, service in found:
            service.ports = [new.port]
        old.process.terminate()

        until(
            lambda: all(shown(context) == ("new", "image:new") for context, _ in found),
            PROMISED_SECONDS,
            lambda: str(Counter(shown(context) for context, _ in found)),
        )
