"""DuckDB in real run containers: over ten times a profile's memory limit it spills and is not killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from dagster import DagsterRunStatus

from launching import PLATFORM, ROOT, Launching
from slipway import profiles
from slipway.config.loader import load
from slipway.launch import sweep
from slipway.launch.docker import container_name
from slipway.profiles import ResolvedProfile

pytestmark = pytest.mark.docker


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


def launch(launcher: Launching, profile: str, query: str, size: int) -> str:
    return launcher.run(
        "spilling",
        config={"spill": {"config": {"query": query, "bytes": size}}},
        tags={"slipway/profile": profile},
    )


def ended(engine: docker.DockerClient, run_id: str) -> dict[str, Any]:
    """The state of a run's container once it has exited."""
    container = engine.containers.get(container_name(run_id))
    container.wait(timeout=60)
    container.reload()
    state: dict[str, Any] = container.attrs["State"]
    return state


SPILL_FACTOR = 1.6
"""What the engine's disk must have free, in data of all profiles together."""


def check_disk(engine: docker.DockerClient, size: int) -> None:
    """Skip where the spills of so much data would fill the disk of the engine, if that is this machine's."""
    root = Path(engine.info()["DockerRootDir"])
    free = shutil.disk_usage(root).free if root.exists() else None
    if free is not None and free < SPILL_FACTOR * size:
        pytest.skip(
            f"{root} needs {SPILL_FACTOR * size / 1e9:.0f} GB free for the spills, and has {free / 1e9:.0f}"
        )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("query", ["sort", "join", "aggregate"])
def test_every_documented_profile_spills_ten_times_its_memory(
    launcher: Launching,
    engine: docker.DockerClient,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    query: str,
) -> None:
    """All of them at once. A disk needs room for one and a half times the data of all."""
    written = yaml.safe_load((ROOT / "platform.yaml").read_text())["infrastructure"]["resource_profiles"]
    use(written, monkeypatch, tmp_path)
    known = documented()
    sizes = {name: 10 * profile.limits.memory for name, profile in known.items()}
    check_disk(engine, sum(sizes.values()))
    runs = {name: launch(launcher, name, query, size) for name, size in sizes.items()}
    for name, run_id in runs.items():
        status = launcher.finished(run_id, 1500)
        assert not ended(engine, run_id)["OOMKilled"], name
        assert status is DagsterRunStatus.SUCCESS, f"{name}\n{launcher.story(run_id)}"
        (line,) = [message for message in launcher.messages(run_id) if '"query"' in message]
        took = json.loads(line[line.index("{") :])
        print(f"\n{name}: {took}")
        # It was spilled, for the most part, and there is room in the scratch for more than that.
        assert sizes[name] * 0.6 < took["scratch"] << 20 < known[name].limits.scratch * 0.8, took
        assert took["memory"] << 20 < known[name].limits.memory * 0.95, took


def test_a_scratch_that_is_too_small_is_named_on_the_run(
    launcher: Launching, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limits = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "256Mi"}
    use({"narrow": {"limits": limits}}, monkeypatch, tmp_path)
    run_id = launch(launcher, "narrow", "sort", 2**30)
    assert launcher.finished(run_id) is DagsterRunStatus.FAILURE
    assert not ended(engine, run_id)["OOMKilled"]
    said = launcher.step_error(run_id)
    assert "max_temp_directory_size" in said
    assert "The run's scratch is full: profile 'narrow' lets DuckDB spill 256MiB (scratch 256Mi)" in said
    assert "Raise limits.ephemeral-storage of the profile in platform.yaml" in said
