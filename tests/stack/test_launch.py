"""Launching from inside the webserver's container, and a backfill that outlives who launches it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from composed import Stack
from slipway.config.quantity import format_bytes
from waiting import until


def test_launch_and_explain_work_in_the_webservers_container(stack: Stack) -> None:
    code, output = stack.execute(
        "webserver", "slipway", "launch", "--assets", "ecommerce_probe", "--profile", "medium", "--wait"
    )
    assert code == 0, output
    assert "with profile 'medium' (run)" in output
    run_id = output.split("submitted run ")[1][:36]
    assert f"(http://127.0.0.1:{stack.ui_port}/runs/{run_id})" in output
    assert stack.seen(run_id)["uid"] == 10001

    code, output = stack.execute("webserver", "slipway", "profile", "explain", "--run", run_id, "--json")
    told = json.loads(output)
    assert (code, told["rule"], told["profile"]["limits"]["memory"]) == (0, "run", "2Gi")
    code, output = stack.execute(
        "webserver", "slipway", "profile", "explain", "--asset", "ecommerce_probe", "--json"
    )
    told = json.loads(output)
    assert (code, told["rule"], told["host"]["memory"]) == (
        0,
        "location",
        format_bytes(stack.engine.info()["MemTotal"]),
    )


@pytest.mark.disruptive
def test_a_backfill_survives_the_death_of_daemon_and_code_server(stack: Stack) -> None:
    code, output = stack.execute(
        "webserver",
        "slipway",
        "launch",
        "--assets",
        "ecommerce_parts",
        "--partition-range",
        "a...l",
        "--json",
    )
    assert code == 0, output
    backfill = json.loads(output[output.index("{") :])["backfill_id"]

    def runs() -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = stack.graphql(
            """query($id: String!) { runsOrError(filter: {tags: [{key: "dagster/backfill", value: $id}]}) {
                 ... on Runs { results { runId status assetMaterializations { partition } } } } }""",
            id=backfill,
        )["runsOrError"]["results"]
        return answer

    def succeeded(least: int) -> None:
        until(
            lambda: sum(run["status"] == "SUCCESS" for run in runs()) >= least,
            180,
            f"{least} runs have not succeeded: {runs()}",
        )

    succeeded(2)
    stack.compose("kill", "daemon", "code-ecommerce")
    stack.compose("start", "daemon", "code-ecommerce")
    succeeded(12)
    made = Counter(one["partition"] for run in runs() for one in run["assetMaterializations"])
    assert made == Counter("abcdefghijkl"), "each partition once"
    assert {run["status"] for run in runs()} == {"SUCCESS"}, [
        stack.failure(run["runId"]) for run in runs() if run["status"] != "SUCCESS"
    ]
