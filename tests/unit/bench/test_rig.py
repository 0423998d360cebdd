"""The pure parts of the benchmarks: statistics, stages, tables, and that both sides are held to the same limits."""

import ast
import json
import random
from pathlib import Path

import pytest
import yaml

from bench import __main__ as runner
from bench.rig import host, report, stages
from bench.rig.containers import LIMITS
from bench.rig.sides import LOCATION, platform
from bench.rig.stages import Event
from bench.rig.statistics import NOISY, Loop, noise, phases, summary
from slipway import profiles
from slipway.config import loader
from slipway.launch.adapter import WorkOrder
from slipway.launch.docker import create_body

ROOT = Path(__file__).resolve().parents[3]


def test_a_summary_is_of_all_values() -> None:
    found = summary([3.0, 1.0, 2.0, 10.0])
    assert (found.median, found.least, found.greatest, found.count) == (2.5, 1.0, 10.0, 4)
    with pytest.raises(ValueError, match="without values"):
        summary([])


QUIET = [Loop(1.0, 1.0), Loop(1.0, 1.0), Loop(5.0, 1.0)]
BUSY = [Loop(2.0, 1.0), Loop(2.0, 1.0), Loop(2.1, 1.1)]


def test_noise_is_what_the_loop_waited_for() -> None:
    assert noise(QUIET) == 1.0
    assert noise(BUSY) == 2.0 > NOISY


def test_there_is_one_phase_in_each_part_of_the_interval() -> None:
    found = phases(8, random.Random(1))
    assert sorted(int(phase * 8) for phase in found) == list(range(8))
    assert found != sorted(found)


EVENTS = [
    Event("RUN_ENQUEUED", "", 10.5),
    Event("RUN_STARTING", "", 12.0),
    Event("ENGINE_EVENT", "Launched container x", 12.5),
    Event("ENGINE_EVENT", "Started process for run (pid: 1).", 14.0),
    Event("RUN_START", "", 14.5),
    Event("STEP_WORKER_STARTING", "", 14.6),
    Event("STEP_START", "", 16.0),
    Event("", "a line that the step logs", 16.0),
    Event("STEP_SUCCESS", "", 16.1),
    Event("RUN_SUCCESS", "", 16.5),
    Event("ENGINE_EVENT", "Started process for run of another attempt", 20.0),
]


def test_stages_add_up_to_the_whole() -> None:
    seen = {"requested": 10.0, "created": 12.2, "started": 12.4, "exited": 17.0, **stages.marks(EVENTS)}
    found = stages.durations(seen)
    assert list(found) == [name for name, _, _ in stages.STAGES]
    assert found["request → queued"] == 0.5
    assert found["started → worker's first event"] == pytest.approx(1.6)
    assert sum(found.values()) == pytest.approx(seen["exited"] - seen["requested"])


def test_each_stage_begins_where_the_one_before_ends() -> None:
    for chain in (stages.STAGES, stages.LANDING_STAGES):
        assert [first for _, first, _ in chain[1:]] == [last for _, _, last in chain[:-1]]


def test_a_stage_that_was_not_seen_is_left_out() -> None:
    assert "run ended → container ended" not in stages.durations(stages.marks(EVENTS))


def test_tables() -> None:
    text = report.samples({"stock": [4.0, 8.0, 6.0], "Slipway": [3.0]}, "stock")
    assert "| stock | **6.00 s** | 4.00 s | 8.00 s | 1.00 | 3 |" in text
    assert "| Slipway | **3.00 s** | 3.00 s | 3.00 s | 0.50 | 1 |" in text
    text = report.breakdown({"stock": [{"a": 0.5}, {"a": 1.5}], "Slipway": [{"b": 0.01}]}, ["a", "b"])
    assert text.splitlines()[2:] == ["| a | 1000 | - |", "| b | - | 10 |"]
    assert "quiet" in report.machine(QUIET)
    assert "too busy" in report.machine(BUSY)


def test_a_result_takes_the_place_of_the_one_before() -> None:
    page = "# Page\n<!-- bench: a -->\nold\n<!-- /bench -->\ntext\n<!-- bench: b -->\n<!-- /bench -->\n"
    found = report.replaced(page, "b", "new")
    assert found == page.replace("bench: b -->\n", "bench: b -->\nnew\n")
    assert "old" not in report.replaced(found, "a", "newer")
    with pytest.raises(ValueError, match="bench: c"):
        report.replaced(page, "c", "new")


def test_the_documentation_has_a_place_for_each_result() -> None:
    page = report.PAGE.read_text()
    for name in ("launch", "landing"):
        assert report.replaced(page, name, "text") != page


def test_the_machine_is_described() -> None:
    described = host.description()
    assert described["commit"] in host.sentence(described)
    assert host.fixed_loop().cpu > 0


def test_results_are_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    assert json.loads(report.save("launch", {"loops": [1.0]}).read_text()) == {"loops": [1.0]}


def test_every_benchmark_has_a_main() -> None:
    names = runner.benchmarks()
    assert {"launch", "landing"} <= set(names)
    for name in names:
        tree = ast.parse((ROOT / "bench" / f"{name}.py").read_text())
        assert "main" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["lunch"]) == 2
    assert "no benchmark is called lunch; there are" in capsys.readouterr().err


def ours() -> str:
    return yaml.safe_dump(platform(yaml.safe_load((ROOT / "platform.yaml").read_text())))


def test_stock_runs_are_held_to_the_limits_of_ours() -> None:
    """What the launcher's settings say in docker-py's words is what our own body says in the engine's."""
    loaded = loader.parse(ours(), "platform.yaml")
    profile = profiles.resolve(loaded, LOCATION, run_tag=None, job_tag=None, asset_tags=[])
    order = WorkOrder("r", "j", LOCATION, "i", "python", Path(), "{}", {}, profile)
    body = create_body(order, project="p", network="n")["HostConfig"]
    stock = yaml.safe_load((ROOT / "bench" / "stock" / "dagster.yaml").read_text())
    given = stock["run_launcher"]["config"]["container_kwargs"]
    names = {
        "mem_limit": "Memory",
        "memswap_limit": "MemorySwap",
        "mem_reservation": "MemoryReservation",
        "cpu_period": "CpuPeriod",
        "cpu_quota": "CpuQuota",
        "pids_limit": "PidsLimit",
        "cap_drop": "CapDrop",
        "security_opt": "SecurityOpt",
    }
    units = {"m": 1024**2, "g": 1024**3}
    for name, value in given.items():
        number = int(value[:-1]) * units[value[-1]] if isinstance(value, str) else value
        assert body[names[name]] == number, name
        assert names[name] in LIMITS
    assert set(body) - {names[name] for name in given} == {"ReadonlyRootfs", "NetworkMode"}
