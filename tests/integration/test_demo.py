"""`slipway demo` from nothing to a mart, once for all of these tests."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from laptops import ROOT, SLIPWAY, Ground, slipway, state_environment
from waiting import until


@dataclass(frozen=True)
class Ran:
    code: int
    output: str
    state: Path
    ground: Ground


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    state = tmp_path_factory.mktemp("demo") / "deep" / "state"
    ground = Ground.look(state.parent.parent)
    env = state_environment(state, SLIPWAY_UI_PORT="0")
    done = subprocess.run(
        [SLIPWAY, "demo"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    print(done.stdout)
    return Ran(done.returncode, done.stdout, state, ground)


def test_it_ends_by_itself_with_the_mart(ran: Ran) -> None:
    assert ran.code == 0, ran.output
    assert "ecommerce.marts.revenue_by_store_and_day" in ran.output
    assert len(re.findall(r"2018-\d\d-\d\d.*Philadelphia", ran.output)) >= 10
    assert re.search(r"UI: http://127\.0\.0\.1:\d+", ran.output)


def test_it_says_what_holds_the_limits_and_how_far_the_files_are(ran: Ran) -> None:
    assert "limits of runs:" in ran.output
    counts = r"files: (\d+)/(\d+) landed, (\d+) seen, 0 claimed, (\d+) done, 1 quarantined"
    landed, to_land, seen, done = map(int, re.findall(counts, ran.output)[-1])
    assert landed == to_land
    assert seen == done + 1


def test_it_leaves_no_process_and_nothing_outside_its_folder(ran: Ran) -> None:
    assert ran.ground.processes_of(ran.state) == []
    assert ran.ground.changes() == []
    assert list((ran.state / "demo" / "runs").glob("*")) == []


def test_sigkill_in_the_middle_of_a_run_ends_the_run_too(ran: Ran, tmp_path: Path) -> None:
    runs = ran.state / "demo" / "runs"
    with slipway("demo", state=ran.state, cwd=ROOT, log=tmp_path / "log") as demo:
        demo.wait_for("1 active", seconds=200)
        until(lambda: list(runs.glob("*.json")), 20, "the run has its process")
        record = json.loads(next(runs.glob("*.json")).read_text())
        ports = demo.note()
        assert record["pid"] in demo.known
        demo.process.kill()
        demo.process.wait()
        demo.assert_gone(ports)
    assert list(runs.glob("*")) == []
    assert record["group"] is None or not Path(record["group"]["memory"]).exists()
