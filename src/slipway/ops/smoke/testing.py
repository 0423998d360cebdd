"""The smoke test as a whole: every check until it passes, and then the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from slipway.config.kubernetes import SmokeTest
from slipway.config.model import Platform
from slipway.ops import running
from slipway.ops.smoke import checks, landed
from slipway.ops.smoke.checks import Check, Failed

SETTLE_SECONDS = 60.0
"""How long something may need that has just been started."""

BETWEEN_TRIES_SECONDS = 2.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What a check, or the file, came to."""

    name: str
    passed: bool
    said: str
    seconds: float
    hint: str | None = None
    found: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """A line, and where to look."""
        state = "ok  " if self.passed else "FAIL"
        look = f"\n      look at: {self.hint}" if self.hint else ""
        return f"{state}  {self.name}: {self.said} ({self.seconds:.1f} s){look}"


def smoke_test(platform: Platform, env: Mapping[str, str], report: Report, timeout: float) -> list[Result]:
    """Run every check, and land the file of kubernetes.test when all of them have passed."""
    deadline = time.monotonic() + timeout
    results: list[Result] = []
    for check in checks.all_checks(platform, env):
        results.append(_tried(check, min(deadline, time.monotonic() + SETTLE_SECONDS)))
        report(str(results[-1]))
    test = platform.kubernetes.test
    if test is not None and all(result.passed for result in results):
        results.append(_landed(platform, env, test, report, deadline))
        report(str(results[-1]))
    return results


def _tried(check: Check, deadline: float) -> Result:
    began = time.monotonic()
    while True:
        try:
            return Result(check.name, True, check.run(), time.monotonic() - began)
        except Failed as error:
            now = time.monotonic()
            if now >= deadline:
                return Result(check.name, False, error.message, now - began, error.hint)
        time.sleep(BETWEEN_TRIES_SECONDS)


def _landed(
    platform: Platform, env: Mapping[str, str], test: SmokeTest, report: Report, deadline: float
) -> Result:
    began = time.monotonic()
    name = f"a file in {test.landing}"

    def progress(said: str) -> None:
        report(f"      {time.monotonic() - began:5.1f} s  {said}")

    try:
        with running.instance(env) as (_, instance):
            key = landed.land(platform, env, test)
            found = landed.follow(platform, instance, env, test, key, progress, deadline)
    except Failed as error:
        return Result(name, False, error.message, time.monotonic() - began, error.hint)
    said = f"{found.key} is loaded"
    if found.rows is not None:
        said += f", {found.rows} row{'' if found.rows == 1 else 's'} of {test.location}.{test.table} by run {found.run_id}"
    return Result(name, True, said, time.monotonic() - began, found=asdict(found))
