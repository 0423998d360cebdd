"""DuckDB in real run containers: over ten times a profile's memory limit it spills and is not killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import yaml
from dagster import DagsterRunStatus

from launching import PLATFORM, ROOT, Launching, until
from slipway import profiles
from slipway.config.loader import load
from slipway.launch import sweep
from slipway.launch.docker import container_name
from slipway.profiles import ResolvedProfile

pytestmark = pytest.mark.docker

QUERIES = ("sort", "join", "aggregate")
AT_ONCE = 2
"""Containers beside each other."""


@dataclass(frozen=True)
class Spill:
    """One run: a query under a profile, over so many bytes."""

    profile: str
    query: str
    bytes: int


@pytest.fixture(autouse=True)
def _swept(launcher: Launching) -> Iterator[None]:
    yield
    sweep(launcher.instance)


def documented() -> dict[str, ResolvedProfile]:
    """The profiles of platform.yaml and the one that is always there; of those that are the same, one."""
    platform = load(ROOT / "platform.yaml")
    found: dict[object, ResolvedProfile] = {}
    for name in (*platform.infrastructure.resource_profiles, "default"):
        profile = profiles.resolve(platform, "", run_tag=name)
        found.setdefault((profile.limits, profile.duckdb), profile)
    return {profile.name: profile for profile in found.values()}


def use(given: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Launch with these profiles from now on."""
    platform = yaml.safe_load(PLATFORM)
    platform["infrastructure"]["resource_profiles"] |= given
    path = tmp_path / "platform.yaml"
    path.write_text(yaml.safe_dump(platform))
    monkeypatch.setenv("SLIPWAY_PLATFORM", str(path))


def launch(launcher: Launching, spill: Spill) -> str:
    return launcher.run(
        "spilling",
        config={"spill": {"config": {"query": spill.query, "bytes": spill.bytes}}},
        tags={"slipway/profile": spill.profile},
    )


def test_every_documented_profile_spills_ten_times_its_memory(
    launcher: Launching, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = yaml.safe_load((ROOT / "platform.yaml").read_text())["infrastructure"]["resource_profiles"]
    use(written, monkeypatch, tmp_path)
    known = documented()
    waiting = [
        Spill(profile.name, query, 10 * profile.limits.memory)
        for profile in known.values()
        for query in QUERIES
    ]
    running: dict[str, Spill] = {}

    def over() -> list[str]:
        return [run_id for run_id in running if launcher.over(run_id)]

    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            spill = waiting.pop(0)
            running[launch(launcher, spill)] = spill
        until(lambda: bool(over()), 900)
        for run_id in over():
            spill = running.pop(run_id)
            container = engine.containers.get(container_name(run_id))
            container.wait(timeout=60)
            container.reload()
            assert launcher.status(run_id) is DagsterRunStatus.SUCCESS, f"{spill}\n{launcher.story(run_id)}"
            assert not container.attrs["State"]["OOMKilled"], spill
            (line,) = [message for message in launcher.messages(run_id) if '"query"' in message]
            took = json.loads(line[line.index("{") :])
            print(spill.profile, took)
            limits = known[spill.profile].limits
            # It was spilled, for the most part, and there is room in the scratch for more than that.
            assert spill.bytes * 0.6 < took["scratch"] << 20 < limits.scratch * 0.8, took
            assert took["memory"] << 20 < limits.memory * 0.95, took
            sweep(launcher.instance)


def test_a_scratch_that_is_too_small_is_named_on_the_run(
    launcher: Launching, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limits = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "256Mi"}
    use({"narrow": {"limits": limits}}, monkeypatch, tmp_path)
    run_id = launch(launcher, Spill("narrow", "sort", 2**30))
    assert launcher.finished(run_id) is DagsterRunStatus.FAILURE
    said = launcher.step_error(run_id)
    assert "max_temp_directory_size" in said
    assert "The run's scratch is full: profile 'narrow' lets DuckDB spill 256MiB (scratch 256Mi)" in said
    assert "Raise limits.ephemeral-storage of the profile in platform.yaml" in said
