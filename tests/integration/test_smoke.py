"""`slipway smoke-test` on a platform that is up: a file of its own becomes rows, and what keeps it from that is named."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from laptops import ROOT, SLIPWAY, slipway

VERSION = ".".join(os.sys.version.split(".")[:2])

PLATFORM: dict[str, Any] = {
    "observability": {"compute_logs": {"enabled": False}},
    "landing": {"inbox": {"bucket": "smoke-inbox", "prefix": "in/"}},
    "code_locations": {
        "shop": {"path": "shop", "image": {"repository": "r", "tag": "t"}, "python": VERSION},
    },
    "kubernetes": {
        "test": {
            "landing": "inbox",
            "key": "numbers-{id}.txt",
            "content": "1,2,3",
            "location": "shop",
            "table": "raw.numbers",
        }
    },
}

DEFINITIONS = """
import dagster as dg
from slipway.landing import LandingResource, landing_sensor
from slipway.resources import LakeResource


@dg.asset
def numbers(context: dg.AssetExecutionContext, inbox: LandingResource, lake: LakeResource) -> None:
    batch = inbox.batch(context)
    with lake.transaction(claim=batch) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
        connection.execute("CREATE TABLE IF NOT EXISTS raw.numbers (key VARCHAR, number INTEGER)")
        connection.execute("CREATE TABLE IF NOT EXISTS raw.idle (key VARCHAR)")
        for file in batch.files:
            text = file.path.read_text()
            if not text.replace(",", "").isdigit():
                batch.quarantine(file, "no numbers")
                continue
            connection.execute(
                "INSERT INTO raw.numbers SELECT ?, unnest(string_split(?, ','))::INTEGER", [file.key, text]
            )


load = dg.define_asset_job("load", selection=[numbers], executor_def=dg.in_process_executor)

defs = dg.Definitions(
    assets=[numbers],
    jobs=[load],
    sensors=[landing_sensor("inbox", job=load)],
    resources={"inbox": LandingResource(landing="inbox"), "lake": LakeResource()},
)
"""


@dataclass(frozen=True)
class Platform:
    """One that runs."""

    env: dict[str, str]

    def test(self, *options: str, test: dict[str, str] | None = None, **environment: str) -> Any:
        """The smoke test with another kubernetes.test, or another environment: exit code, result, standard error."""
        given = {
            **PLATFORM,
            "kubernetes": {"test": {**PLATFORM["kubernetes"]["test"], **(test or {})}},
        }
        done = subprocess.run(
            [SLIPWAY, "smoke-test", "--json", *options],
            env={**self.env, "SLIPWAY_PLATFORM_JSON": json.dumps(given), **environment},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("smoke")
    (folder / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    (folder / "platform.yaml").write_text(yaml.safe_dump(PLATFORM))
    package = folder / "shop" / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "definitions.py").write_text(DEFINITIONS)
    (folder / "shop" / "requirements.txt").write_bytes(
        (ROOT / "code_locations" / "ecommerce" / "requirements.txt").read_bytes()
    )
    state = folder / "state"
    with slipway("up", state=state, cwd=folder, log=folder / "log") as up:
        up.wait_for("UI: ", 300)
        exported = subprocess.run(
            ["sh", "-c", f". {state}/env && env -0"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        yield Platform(dict(pair.split("=", 1) for pair in exported.split("\0") if pair))


def test_a_file_of_its_own_becomes_rows_each_time(platform: Platform) -> None:
    keys = []
    for _ in range(2):
        code, result, progress = platform.test()
        assert code == 0, progress
        assert result["passed"] is True
        assert [check["name"] for check in result["checks"]] == [
            "Postgres",
            "S3",
            "code location shop",
            "webserver",
            "daemon",
            "a file in inbox",
        ]
        found = result["checks"][-1]["found"]
        assert found["rows"] == 3
        assert found["run_id"] in progress
        keys.append(found["key"])
    assert len(set(keys)) == 2
    assert all(key.startswith("in/numbers-") for key in keys)


@pytest.mark.parametrize(
    ("test", "said", "hint"),
    [
        ({"table": "raw.letters"}, "the lake of shop has no table raw.letters", "kubernetes.test.table"),
        ({"table": "raw.idle"}, "wrote no row of shop.raw.idle", "kubernetes.test.table or content"),
        ({"content": "one"}, "it is in quarantine: no numbers", "slipway landing errors inbox"),
    ],
)
def test_what_does_not_become_of_it_is_named(
    platform: Platform, test: dict[str, str], said: str, hint: str
) -> None:
    code, result, progress = platform.test(test=test)
    assert code == 1, progress
    last = result["checks"][-1]
    assert last["passed"] is False
    assert said in last["said"]
    assert hint in last["hint"]
    assert f"FAIL  {last['name']}" in progress


def test_time_that_is_over_says_how_far_it_came(platform: Platform) -> None:
    code, result, _ = platform.test("--timeout", "4", SLIPWAY_UI_URL="http://127.0.0.1:1")
    assert code == 1
    failed = {check["name"]: check["said"] for check in result["checks"] if not check["passed"]}
    assert list(failed) == ["webserver"]
    assert "at http://127.0.0.1:1 it does not answer" in failed["webserver"]
    assert "a file in inbox" not in {check["name"] for check in result["checks"]}


def test_a_mistake_in_platform_yaml_is_the_users(platform: Platform) -> None:
    code, result, error = platform.test(test={"landing": "outbox"})
    assert (code, result) == (2, None)
    assert "kubernetes.test.landing: landing has no 'outbox'" in error
