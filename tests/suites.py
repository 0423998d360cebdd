"""Runs the test suites that this machine can run, and ends with one line per suite.

    python tests/suites.py [SUITE…]

What a machine lacks is said, not hidden: a suite that cannot run is `skipped` with its reason, and an error
when `REQUIRE` (a comma-separated list, such as `docker,kubernetes`) asks for what it needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from slipway.ops import interpreters

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CHART = "tests/unit/chart"
UNIT = ("tests/unit", f"--ignore={CHART}")
LOCATIONS = sorted(path.parent for path in (ROOT / "code_locations").glob("*/pyproject.toml"))


@dataclass
class Outcome:
    """What one suite did."""

    passed: int = 0
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """How many tests were skipped, by reason."""
    seconds: float = 0.0

    def line(self, name: str) -> str:
        """The suite's line of the summary."""
        verdict = "FAILED" if self.failed else "passed" if self.passed else "skipped"
        reasons = "".join(f"; {count} skipped: {reason}" for reason, count in self.skipped.items())
        return f"{verdict:8}{name:18}{self.passed:5} passed {self.failed:3} failed {self.seconds:6.0f} s{reasons}"


def docker_missing() -> str | None:
    """Why containers cannot be tested here, or None."""
    if shutil.which("docker") is None:
        return "no docker command"
    for command, what in ((["version"], "Docker Engine"), (["compose", "version"], "Docker Compose")):
        result = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            return f"no {what} answers"
    return None


def kubernetes_missing() -> str | None:
    """Why nothing can be installed on a cluster here, or None."""
    for command in (["scripts/cluster-check.sh"], ["scripts/cluster-load.sh", "--check"]):
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            return result.stderr.partition("\n")[0].removeprefix("error: ")
    return docker_missing()


NEEDS: dict[str, Callable[[], str | None]] = {"docker": docker_missing, "kubernetes": kubernetes_missing}


def run(command: list[str | Path], **environment: str) -> bool:
    """Run a command in the repository, its output passed on; whether it succeeded."""
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode == 0


def commands(*steps: tuple[str, list[str | Path]]) -> Outcome:
    """A suite of plain commands, each of which counts as a test."""
    outcome = Outcome()
    for title, command in steps:
        print(f"-- {title}", flush=True)
        if run(command):
            outcome.passed += 1
        else:
            outcome.failed += 1
            print(f"FAILED: {title}: {' '.join(map(str, command))}", flush=True)
    return outcome


def pytest(*arguments: str | Path, python: Path = BIN / "python", cwd: Path = ROOT) -> Outcome:
    """A suite of pytest's, counted from its own report."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", "-q", *arguments, f"--junitxml={report}"]
        code = subprocess.run(command, cwd=cwd, check=False).returncode
        for case in cases(report):
            problem = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
            if problem is None:
                outcome.passed += 1
            elif problem.tag == "skipped":
                outcome.skipped[problem.get("message", "no reason given")] += 1
            else:
                outcome.failed += 1
    if code not in (0, 1) or (code == 1 and not outcome.failed):
        outcome.failed += 1
    return outcome


def cases(report: Path) -> Iterator[ElementTree.Element]:
    """The test cases of a JUnit report; none when pytest died before it wrote one."""
    if report.exists():
        yield from ElementTree.parse(report).iter("testcase")


def check() -> Outcome:
    """Formatter, linter, types, and everything that is generated."""
    return commands(
        ("format", [BIN / "ruff", "format", "--check", "--quiet", "."]),
        ("lint", [BIN / "ruff", "check", "--quiet", "."]),
        ("types", [BIN / "mypy"]),
        ("locks", ["scripts/lock.sh", "--check"]),
        ("schema and reference", [BIN / "slipway", "schema", "--check"]),
        ("compose file", [BIN / "slipway", "compose", "--check"]),
        ("platform.yaml", [BIN / "slipway", "check"]),
        ("documentation", [BIN / "python", "-m", "pytest", "-q", "tests/unit/test_docs.py"]),
    )


def unit() -> Outcome:
    """Everything that needs no service."""
    return pytest(*UNIT, "-n", "2")


def chart() -> Outcome:
    """The Helm chart, rendered without a cluster."""
    return pytest(CHART, "-n", "2")


def other_python() -> Outcome:
    """The unit tests on the other end of the supported Pythons."""
    there = "3.13" if sys.version_info[:2] == (3, 11) else "3.11"
    interpreter = interpreters.find(there)
    if interpreter is None:
        return Outcome(skipped=Counter({f"no Python {there} here": 1}))
    with tempfile.TemporaryDirectory() as folder:
        venv = Path(folder) / "venv"
        python = venv / "bin" / "python"
        sync = [BIN / "uv", "pip", "sync", "--quiet", "--require-hashes", "--python", python, "locks/dev.txt"]
        install = [BIN / "uv", "pip", "install", "--quiet", "--no-deps", "--python", python, "."]
        create = [BIN / "uv", "venv", "--quiet", "--python", interpreter, venv]
        if not (run(create) and run([*sync]) and run([*install])):
            return Outcome(failed=1)
        return pytest(*UNIT, "-n", "2", python=python)


def integration() -> Outcome:
    """The platform as plain processes: embedded Postgres, embedded S3."""
    return pytest("tests/integration")


def locations() -> Outcome:
    """Each location's own tests, in its own environment."""
    total = Outcome()
    for location in LOCATIONS:
        print(f"-- {location.name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            python = Path(folder) / "bin" / "python"
            uv: list[str | Path] = [BIN / "uv", "pip", "install", "--quiet", "--python", python]
            ready = (
                run([BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder])
                and run([*uv, "--require-hashes", "-r", location / "requirements.txt"])
                and run([*uv, "--no-deps", ".", "--editable", location])
                and run([*uv, "--constraint", "locks/dev.txt", "pytest"])
            )
            if not ready:
                total.failed += 1
                continue
            outcome = pytest("tests", python=python, cwd=location)
        total.passed += outcome.passed
        total.failed += outcome.failed
        total.skipped += outcome.skipped
    return total


def chaos() -> Outcome:
    """A whole platform as processes, and everything in it killed while files land."""
    return pytest("tests/chaos", "-s")


def stack() -> Outcome:
    """The platform in containers."""
    return pytest("tests/stack")


def cluster() -> Outcome:
    """The platform on the Kubernetes cluster of the current context."""
    return pytest("tests/cluster")


@dataclass(frozen=True)
class Suite:
    """A suite by name, and what the machine must have for it."""

    run: Callable[[], Outcome]
    needs: tuple[str, ...] = ()


SUITES = {
    "check": Suite(check),
    "unit": Suite(unit),
    "chart": Suite(chart),
    "other-python": Suite(other_python),
    "locations": Suite(locations),
    "integration": Suite(integration),
    "chaos": Suite(chaos),
    "stack": Suite(stack, needs=("docker",)),
    "cluster": Suite(cluster, needs=("kubernetes",)),
}


def main(names: list[str]) -> int:
    """Run the named suites, or all; the exit code says whether anything failed."""
    unknown = [name for name in names if name not in SUITES]
    required = {name for name in os.environ.get("REQUIRE", "").split(",") if name}
    if unknown or required - NEEDS.keys():
        print(
            f"error: no suite or requirement is called {', '.join(unknown or sorted(required - NEEDS.keys()))}"
        )
        print(f"help: suites are {', '.join(SUITES)}; REQUIRE takes {', '.join(NEEDS)}")
        return 2
    outcomes: dict[str, Outcome] = {}
    for name in names or SUITES:
        suite = SUITES[name]
        print(f"== {name}", flush=True)
        reasons = [(need, reason) for need in suite.needs if (reason := NEEDS[need]())]
        begin = time.monotonic()
        if not reasons:
            outcomes[name] = suite.run()
        elif any(need in required for need, _ in reasons):
            print(
                f"error: {'; '.join(reason for _, reason in reasons)}, and REQUIRE={','.join(sorted(required))} asks for it"
            )
            outcomes[name] = Outcome(failed=1)
        else:
            outcomes[name] = Outcome(skipped=Counter(reason for _, reason in reasons))
        outcomes[name].seconds = time.monotonic() - begin
    print()
    for name, outcome in outcomes.items():
        print(outcome.line(name))
    total = Counter(passed=0, failed=0, skipped=0)
    for outcome in outcomes.values():
        total.update(passed=outcome.passed, failed=outcome.failed, skipped=outcome.skipped.total())
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
