"""How a code server is started, and what is wrong when it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dagster._cli.api import grpc_command

from slipway import draining
from slipway.code_server.__main__ import command


@pytest.mark.parametrize("server_id", [None, "revision-7"])
def test_dagster_knows_every_option(server_id: str | None) -> None:
    context = grpc_command.make_context(
        "grpc", command("my_shop", "shop.definitions", "0.0.0.0", 4000, server_id)
    )
    given = context.params
    assert given["lazy_load_user_code"] is True
    assert (given["host"], given["port"]) == ("0.0.0.0", 4000)
    assert given["location_name"] == "my_shop"
    assert given["fixed_server_id"] == server_id
    assert given["module_name"] in ("shop.definitions", ("shop.definitions",))


@pytest.mark.parametrize(("runtime", "seconds"), [("kubernetes", 5), ("docker", 0), ("process", 0)])
def test_only_a_pod_waits_until_nobody_calls(runtime: str, seconds: float) -> None:
    assert draining.seconds({"SLIPWAY_RUNTIME": runtime}) == seconds


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"SLIPWAY_PLATFORM_JSON": "{}"}, "SLIPWAY_LOCATION does not say"),
        ({"SLIPWAY_PLATFORM_JSON": "{}", "SLIPWAY_LOCATION": "shop"}, "has no code location named shop"),
        ({"SLIPWAY_LOCATION": "shop"}, "there is no file"),
    ],
)
def test_a_mistake_is_told_in_two_lines(tmp_path: Path, env: dict[str, str], message: str) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "slipway.code_server"],
        env={**bare, **env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "help"]
