"""Which profile a run gets, whoever launches it: asserted on the run's tags, and on what the run itself saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from live import Live
from slipway.launch import process
from waiting import until

MIB = 2**20

EXPECTED = {
    "run": ("asked", 1280, "1"),
    "job": ("nightly", 1408, "1"),
    "asset": ("tall+wide", 1536, "1"),
    "location": ("small", 1024, "1"),
    "platform": ("base", 896, "1"),
}
"""Profile, MiB and cores by the rule that decides; two assets get the larger of each."""


@pytest.fixture(scope="module")
def submitted(platform: Live) -> dict[str, str]:
    """Everything that is launched by hand, at once; run ids by case. Daemons launch the rest meanwhile."""
    asked = {"slipway/profile": "asked"}
    typed = {
        "command line run": ["--job", "both", "--location", "chosen", "--profile", "asked"],
        "command line job": ["--job", "nightly"],
        "command line asset": ["--assets", "tall_one,wide_one"],
        "command line location": ["--assets", "key:plain_one"],
        "command line platform": ["--assets", "other_one"],
    }
    begun = {case: platform.begin("launch", "--json", *arguments) for case, arguments in typed.items()}
    found = {
        "UI run": platform.launch("both", tags=asked),
        "UI run over job": platform.launch("nightly", tags=asked),
        "UI job": platform.launch("nightly"),
        "UI job with run_tags": platform.launch("own_run_tags", tags={"slipway/profile": "nightly"}),
        "UI asset": platform.launch("both"),
        "UI location": platform.launch("both", assets=["plain_one"]),
        "UI platform": platform.launch("both", location="other"),
    }
    platform.backfill(["a", "b"], assetSelection=[{"path": ["tall_letters"]}], tags=_case("backfill tall"))
    platform.backfill(["a"], assetSelection=[{"path": ["plain_letters"]}], tags=_case("backfill location"))
    platform.backfill(["c"], assetSelection=[{"path": ["tall_letters"]}], tags=_case("backfill run", **asked))
    repository = {"repositoryLocationName": "chosen", "repositoryName": "__repository__"}
    platform.backfill(
        ["b"],
        selector={"partitionSetName": "lettered_partition_set", "repositorySelector": repository},
        tags=_case("backfill job"),
    )
    for case, process_ in begun.items():
        output, errors = process_.communicate(timeout=120)
        assert process_.returncode == 0, errors
        found[case] = json.loads(output)["run_id"]
    return found


def _case(name: str, **tags: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in {"case": name, **tags}.items()]


def assert_given(run: Mapping[str, Any], rule: str) -> None:
    """The run was given the profile that the rule chooses, on its tags and in its process."""
    profile, memory, cpu = EXPECTED[rule]
    tags = run["tags"]
    assert (tags["slipway/profile"], tags["slipway/profile_source"]) == (profile, rule)
    assert (tags["slipway/memory"], tags["slipway/cpu"]) == (_quantity(memory), cpu)
    frozen = json.loads(tags["slipway/frozen"])
    assert frozen["run_id"] == run["runId"]
    assert frozen["profile"]["limits"]["memory"] == memory * MIB
    assert_saw(run, memory)


def assert_saw(run: Mapping[str, Any], memory: int) -> None:
    seen = {
        entry["label"]: entry.get("text") or entry.get("intRepr")
        for materialization in run["assetMaterializations"]
        for entry in materialization["metadataEntries"]
    }
    assert seen["duckdb"] == run["tags"]["slipway/duckdb_memory_limit"]
    if process._hierarchy() is not None:
        assert int(seen["kernel"]) == memory * MIB


def _quantity(mebibytes: int) -> str:
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"


@pytest.mark.parametrize("who", ["UI", "command line"])
@pytest.mark.parametrize("rule", EXPECTED)
def test_a_run_from(platform: Live, submitted: dict[str, str], who: str, rule: str) -> None:
    (run,) = platform.over([submitted[f"{who} {rule}"]])
    assert_given(run, rule)


def test_a_run_of_a_tagged_job_can_ask_for_another(platform: Live, submitted: dict[str, str]) -> None:
    (run,) = platform.over([submitted["UI run over job"]])
    assert_given(run, "run")


def test_run_tags_of_a_job_are_its_own_wish(platform: Live, submitted: dict[str, str]) -> None:
    (run,) = platform.over([submitted["UI job with run_tags"]])
    assert_given(run, "job")


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        *(
            (f"{who} {rule}", rule)
            for who in ("sensor", "schedule")
            for rule in ("run", "job", "asset", "location")
        ),
        *((f"condition {rule}", rule) for rule in ("run", "asset", "location")),
        *((f"backfill {rule}", rule) for rule in ("run", "job", "location")),
    ],
)
@pytest.mark.usefixtures("submitted")
def test_a_run_that_a_daemon_launches(platform: Live, case: str, rule: str) -> None:
    until(lambda: platform.runs(case=case), 120, f"a run of {case}")
    (run,) = platform.over([run["runId"] for run in platform.runs(case=case)])
    assert_given(run, rule)


@pytest.mark.usefixtures("submitted")
def test_each_run_of_a_backfill_has_the_profile_of_its_asset(platform: Live) -> None:
    until(lambda: len(platform.runs(case="backfill tall")) == 2, 120, "two runs")
    for run in platform.over([run["runId"] for run in platform.runs(case="backfill tall")]):
        assert run["tags"]["slipway/profile"] == "tall"
        assert run["tags"]["slipway/profile_source"] == "asset"
        assert_saw(run, 1536)


def test_a_re_execution_chooses_anew_and_keeps_only_what_was_asked_of_the_run(
    platform: Live, submitted: dict[str, str]
) -> None:
    platform.over([submitted["UI run"], submitted["UI asset"]])
    again = {rule: platform.re_execute(submitted[f"UI {rule}"]) for rule in ("run", "asset")}
    for rule, run in zip(again, platform.over(list(again.values())), strict=True):
        assert_given(run, rule)


def test_a_live_run_keeps_its_profile_when_platform_yaml_changes(platform: Live, tmp_path: Path) -> None:
    signal = tmp_path / "go on"
    run_id = platform.launch(
        "__ASSET_JOB", assets=["holding"], config={"ops": {"holding": {"config": {"file": str(signal)}}}}
    )
    until(lambda: platform.run(run_id)["status"] == "STARTED", 60, "the run holds")
    before = platform.run(run_id)["tags"]
    file = platform.project / "platform.yaml"
    text = file.read_text()
    try:
        file.write_text(text.replace("memory: 1Gi, ephemeral", "memory: 1088Mi, ephemeral"))
        told = platform.cli("profile", "explain", "--run", run_id)
        assert told.returncode == 0, told.stderr
        assert "profile 'small', by rule 'location'" in told.stdout
        assert "platform.yaml says otherwise now: 'small' has memory 1088Mi" in told.stdout
        later = platform.launch("looking")
        (other,) = platform.over([later])
        assert other["tags"]["slipway/memory"] == "1088Mi"
        assert_saw(other, 1088)

        # Monitoring looks at it in the meantime: a health check reads the frozen profile alone.
        file.write_text(text.replace("profile: small", "profile: base").replace("    small:", "    renamed:"))
        signal.touch()
        (run,) = platform.over([run_id])
    finally:
        file.write_text(text)
        signal.touch()
    assert {key: run["tags"][key] for key in before} == before
    assert_given(run, "location")
