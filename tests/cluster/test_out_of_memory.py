"""Runs that the kernel kills for want of memory: said so, and retried on the next profile."""

from __future__ import annotations

import pytest

from installed import Installed

JOBS = {"the container": "eating", "a child": "eating_in_a_step_process"}


@pytest.fixture(scope="module")
def starved(installed: Installed) -> dict[str, str]:
    """A run of each kind that wants more than its profile has."""
    return {
        who: installed.launch_job(
            "launched",
            job,
            ops={"eat": {"config": {"mebibytes": 800}}},
            tags={"slipway/profile": "tight"},
        )
        for who, job in JOBS.items()
    }


@pytest.mark.parametrize("who", JOBS)
def test_it_is_named_and_retried_on_the_next_profile(
    installed: Installed, starved: dict[str, str], who: str
) -> None:
    run_id = starved[who]
    assert installed.finished(run_id)["status"] == "FAILURE"
    reason = installed.says(run_id, "Out of memory", 10)
    assert "640Mi of profile 'tight'" in reason
    assert "retried on profile 'roomy' (retry 1 of 1)" in reason
    retry = installed.retry_of(run_id)
    run = installed.finished(retry)
    assert run["status"] == "SUCCESS", installed.failure(retry)
    tags = installed.run(retry)["tags"]
    assert (tags["slipway/profile"], tags["slipway/oom_retry"]) == ("roomy", "1 of 1")
    assert installed.log(installed.log_keys(run_id)[0]) is not None
