"""Runs that really allocate more than their limit: what is said, what is retried, how often, and what is not."""

from __future__ import annotations

import logging
import sys
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._core.errors import DagsterCodeLocationLoadError
from dagster._core.execution.asset_backfill import backfill_runs_are_complete
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from launching import Launching
from slipway.daemon import retries
from slipway.launch import cgroup, process
from slipway.launch.adapter import Host
from waiting import until

needs_cgroup = pytest.mark.skipif(cgroup.writable() is None, reason="no cgroup is writable here")

TIGHT = {"slipway/profile": "tight"}
WILL_RETRY = "dagster/will_retry"
STATE = "slipway/out_of_memory"


def amount(op: str, mebibytes: int) -> Mapping[str, Any]:
    return {op: {"config": {"mebibytes": mebibytes}}}


def starved(launcher: Launching, job: str = "eating", mebibytes: int = 560, **tags: str) -> str:
    """A run that asks for more than the 640 MiB of its profile allow; its id."""
    op = "collect" if job == "collecting" else "eat"
    run_id = launcher.run(job, config=amount(op, mebibytes), tags={**TIGHT, **tags})
    assert launcher.finished(run_id) is DagsterRunStatus.FAILURE, launcher.story(run_id)
    return run_id


def will_retry(launcher: Launching, run_id: str) -> str:
    """Dagster's verdict, which it writes a moment after the failure."""
    until(lambda: WILL_RETRY in launcher.tags(run_id), 10)
    return launcher.tags(run_id)[WILL_RETRY]


def steps(launcher: Launching, run_id: str) -> set[str | None]:
    """The steps that a run executed."""
    return {
        event.step_key for event in launcher.instance.all_logs(run_id, of_type=DagsterEventType.STEP_START)
    }


@needs_cgroup
@pytest.mark.parametrize("job", ["eating", "eating_in_a_step_process"])
def test_a_run_out_of_memory_fails_with_that_reason_and_is_retried_once_on_the_larger_profile(
    launcher: Launching, state: Path, job: str
):
    run_id = starved(launcher, job)
    reason = launcher.failure(run_id)
    assert reason.startswith("Out of memory: the kernel killed ")
    assert "at the memory limit of 640Mi of profile 'tight' (peak 6" in reason
    assert "MiB); it is retried on profile 'small' (retry 1 of 1)." in reason
    # By this a backfill and the sensor of a landing know from the first moment on that it is not over.
    assert launcher.tags(run_id)[WILL_RETRY] == "true"
    if job == "eating_in_a_step_process":
        (failed,) = launcher.instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)
        assert failed.message.startswith("Out of memory: the kernel killed step 'eat', or a process of it,")

    with ThreadPoolExecutor(4) as daemons:
        list(daemons.map(lambda _: launcher.retry_pending(), range(4)))
    retry = launcher.retried(run_id)
    assert launcher.finished(retry) is DagsterRunStatus.SUCCESS, launcher.story(retry)
    tags = launcher.tags(retry)
    assert tags["slipway/profile"] == "small"
    assert tags["slipway/profile_source"] == "run"
    assert tags["slipway/memory"] == "1Gi"
    assert tags["slipway/oom_retry"] == "1 of 1"
    assert tags["dagster/parent_run_id"] == tags["dagster/root_run_id"] == run_id
    assert STATE not in tags
    assert any("(run, retry 1 of 1 for want of memory)" in message for message in launcher.messages(retry))

    tags = launcher.tags(run_id)
    assert tags[STATE] == "retried"
    assert tags["dagster/auto_retry_run_id"] == retry
    assert any("Retry 1 of 1 for want of memory, on profile 'small'" in m for m in launcher.messages(run_id))
    launcher.retry_pending()
    launcher.other_retries(run_id)
    assert len(launcher.children(run_id)) == 1
    until(lambda: not list((state / "runs").glob("*")), 10)


@needs_cgroup
def test_the_profile_of_the_first_run_bounds_the_chain(launcher: Launching):
    """dagster/max_retries does not add to it: what is out of memory is retried with more, or not at all."""
    first = launcher.run(
        "eating",
        config=amount("eat", 1500),
        tags={"slipway/profile": "patient", "dagster/max_retries": "9"},
    )
    chain = [first]
    for profile, memory in (("stepping", "768Mi"), ("small", "1Gi")):
        assert launcher.finished(chain[-1]) is DagsterRunStatus.FAILURE
        chain.append(launcher.retried(chain[-1]))
        assert launcher.tags(chain[-1])["slipway/profile"] == profile
        assert launcher.tags(chain[-1])["slipway/memory"] == memory
    assert launcher.tags(chain[1])["slipway/oom_retry"] == "1 of 2"
    assert launcher.tags(chain[2])["slipway/oom_retry"] == "2 of 2"
    assert "this was retry 1 of 2; it is retried on profile 'small' (retry 2 of 2)" in launcher.failure(
        chain[1]
    )

    last = chain[-1]
    assert launcher.finished(last) is DagsterRunStatus.FAILURE
    assert "profile 'small' (peak " in launcher.failure(last)
    assert (
        "this was retry 2 of 2 on a larger profile; the next larger profile is 'medium'"
        in launcher.failure(last)
    )
    assert will_retry(launcher, last) == "false"
    assert launcher.tags(last)[STATE] == "not retried"
    launcher.retry_pending()
    launcher.other_retries(last)
    assert launcher.children(last) == []


@needs_cgroup
def test_without_on_oom_there_is_no_retry_but_dagsters_own(launcher: Launching):
    run_id = starved(launcher, mebibytes=1500, **{"slipway/profile": "small"})
    assert "of profile 'small' (peak 1" in launcher.failure(run_id)
    assert "the next larger profile is 'medium' (run tag slipway/profile)." in launcher.failure(run_id)
    assert will_retry(launcher, run_id) == "false"
    assert launcher.tags(run_id)[STATE] == "yes"
    launcher.retry_pending()
    launcher.other_retries(run_id)
    assert launcher.children(run_id) == []

    again = starved(launcher, mebibytes=1500, **{"slipway/profile": "small", "dagster/max_retries": "1"})
    assert will_retry(launcher, again) == "true"
    launcher.retry_pending()
    assert launcher.children(again) == []
    launcher.other_retries(again)
    (retry,) = launcher.children(again)
    assert retry.tags["slipway/profile"] == "small"


@needs_cgroup
def test_retries_of_both_kinds_are_counted_together(launcher: Launching):
    """With max_retries of 2 there are two retries: one for want of memory, and one of Dagster's with that memory."""
    first = launcher.run(
        "eating_or_failing", config=amount("eat_or_fail", 560), tags={**TIGHT, "dagster/max_retries": "2"}
    )
    chain = [first]
    for _ in range(2):
        assert launcher.finished(chain[-1]) is DagsterRunStatus.FAILURE
        assert will_retry(launcher, chain[-1]) == "true"
        chain.append(launcher.retried(chain[-1]))
        assert launcher.tags(chain[-1])["slipway/profile"] == "small"
        assert launcher.tags(chain[-1])["slipway/profile_source"] == "run"
    assert launcher.finished(chain[-1]) is DagsterRunStatus.FAILURE
    assert "Out of memory" not in launcher.story(chain[-1])
    assert will_retry(launcher, chain[-1]) == "false"


@needs_cgroup
def test_a_run_that_got_over_a_kill_is_not_failed(launcher: Launching, state: Path):
    run_id = launcher.run("eating_once", config=amount("eat_once", 560), tags=TIGHT)
    assert launcher.finished(run_id) is DagsterRunStatus.SUCCESS, launcher.story(run_id)
    until(lambda: not list((state / "runs").glob("*")), 10)
    assert STATE not in launcher.tags(run_id)
    assert launcher.instance.all_logs(run_id, of_type=DagsterEventType.STEP_UP_FOR_RETRY)


@needs_cgroup
def test_a_run_that_got_over_a_kill_and_failed_of_something_else_says_so(launcher: Launching, state: Path):
    run_id = launcher.run("failing_after_all", config=amount("starve_a_child", 800), tags=TIGHT)
    assert launcher.finished(run_id) is DagsterRunStatus.FAILURE
    until(lambda: not list((state / "runs").glob("*")), 10)
    assert "Out of memory" not in launcher.story(run_id)
    assert launcher.tags(run_id)[STATE] == "no"
    assert will_retry(launcher, run_id) == "false"


@needs_cgroup
def test_finished_steps_are_not_repeated_where_the_others_need_nothing_of_the_scratch(launcher: Launching):
    run_id = launcher.run("eating_afterwards", config=amount("eat_afterwards", 560), tags=TIGHT)
    assert launcher.finished(run_id) is DagsterRunStatus.FAILURE
    retry = launcher.retried(run_id)
    assert launcher.finished(retry) is DagsterRunStatus.SUCCESS, launcher.story(retry)
    assert steps(launcher, retry) == {"eat_afterwards"}
    assert launcher.tags(retry)["dagster/is_resume_retry"] == "true"


@needs_cgroup
def test_all_steps_are_repeated_where_an_output_went_with_the_scratch(launcher: Launching):
    run_id = launcher.run("eating_a_number", config=amount("eat_a_number", 560), tags=TIGHT)
    assert launcher.finished(run_id) is DagsterRunStatus.FAILURE
    retry = launcher.retried(run_id)
    assert launcher.finished(retry) is DagsterRunStatus.SUCCESS, launcher.story(retry)
    assert steps(launcher, retry) == {"number", "eat_a_number"}
    assert "got 7" in launcher.messages(retry)


@needs_cgroup
def test_duckdbs_own_want_of_memory_counts(launcher: Launching):
    run_id = starved(launcher, "collecting", 200)
    assert "Out of memory: step 'collect' was given no more (OutOfMemoryException)" in launcher.failure(
        run_id
    )
    retry = launcher.retried(run_id)
    assert launcher.finished(retry) is DagsterRunStatus.SUCCESS, launcher.story(retry)
    assert launcher.tags(retry)["slipway/profile"] == "small"


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds nothing elsewhere")
def test_pythons_own_want_of_memory_counts(launcher: Launching, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "_hierarchy", lambda: None)
    run_id = starved(launcher, mebibytes=700)
    assert "step 'eat' was given no more (MemoryError) at the memory limit of 640Mi" in launcher.failure(
        run_id
    )
    assert will_retry(launcher, run_id) == "true"
    retry = launcher.retried(run_id)
    assert launcher.finished(retry) is DagsterRunStatus.SUCCESS, launcher.story(retry)


@needs_cgroup
def test_a_run_that_a_person_ends_is_not_retried(launcher: Launching):
    run = launcher.create("eating", config={"eat": {"config": {"mebibytes": 560, "seconds": 2}}}, tags=TIGHT)
    launcher.launch(run)
    launcher.says(run.run_id, "eating")
    launcher.instance.report_run_canceling(launcher.instance.get_run_by_id(run.run_id))
    assert launcher.finished(run.run_id) is DagsterRunStatus.CANCELED
    launcher.retry_pending()
    assert launcher.children(run.run_id) == []
    assert STATE not in launcher.tags(run.run_id)


@needs_cgroup
def test_a_profile_that_is_renamed_before_the_retry_ends_the_chain_and_it_is_said(
    launcher: Launching, platform_file: Path
):
    before = platform_file.read_text()
    run_id = starved(launcher)
    try:
        platform_file.write_text(
            before.replace("on_oom: small", "on_oom: medium")
            .replace("    small:", "    smaller:")
            .replace("profile: small", "profile: smaller")
        )
        launcher.retry_pending()
    finally:
        platform_file.write_text(before)
    assert launcher.children(run_id) == []
    assert (
        "Not retried for want of memory: profile 'small', the on_oom of 'tight', is not in platform.yaml any more."
        in launcher.messages(run_id)
    ), launcher.story(run_id)
    assert will_retry(launcher, run_id) == "false"
    assert launcher.tags(run_id)[STATE] == "not retried"


@needs_cgroup
def test_a_host_without_more_memory_retries_nothing(launcher: Launching, monkeypatch: pytest.MonkeyPatch):
    adapter = launcher.instance.run_launcher._adapter
    monkeypatch.setattr(adapter, "host", lambda: Host(Decimal(2), 640 * 2**20))
    run_id = starved(launcher)
    assert (
        "it is not retried: profile 'small', the on_oom of 'tight', gives 640 MiB of memory"
        in launcher.failure(run_id)
    )
    assert will_retry(launcher, run_id) == "false"
    launcher.retry_pending()
    assert launcher.children(run_id) == []


@needs_cgroup
def test_a_code_location_that_is_away_and_a_daemon_that_is_killed_cost_the_retry_nothing_but_time(
    launcher: Launching, monkeypatch: pytest.MonkeyPatch
):
    run_id = starved(launcher)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    def away(*_: object) -> None:
        raise DagsterCodeLocationLoadError("its code server restarts", [])

    with monkeypatch.context() as patch:
        patch.setattr(retries, "retry_run", away)
        launcher.retry_pending()
    assert launcher.children(run_id) == []
    assert launcher.tags(run_id)[STATE] == "retry pending"
    with monkeypatch.context() as patch:
        patch.setattr(DagsterInstance, "submit_run", killed)
        with pytest.raises(KeyboardInterrupt):
            launcher.retry_pending()
    (made,) = launcher.children(run_id)
    assert made.status is DagsterRunStatus.NOT_STARTED
    assert launcher.tags(run_id)[STATE] == "retry pending"
    launcher.retry_pending()
    (found,) = launcher.children(run_id)
    assert (found.run_id, found.status) == (made.run_id, DagsterRunStatus.QUEUED)
    assert launcher.tags(run_id)[STATE] == "retried"


@needs_cgroup
def test_a_backfill_waits_for_the_retry_and_one_that_is_over_gets_none(launcher: Launching):
    going, over = uuid.uuid4().hex[:8], uuid.uuid4().hex[:8]
    for backfill, status in ((going, BulkActionStatus.REQUESTED), (over, BulkActionStatus.CANCELED)):
        launcher.instance.add_backfill(PartitionBackfill(backfill, status, False, {}, time.time()))
    log = logging.getLogger("backfill")

    run_id = starved(launcher, **{"dagster/backfill": going})
    assert not backfill_runs_are_complete(going, launcher.instance, log)
    launcher.retry_pending()
    (retry,) = launcher.children(run_id)
    assert retry.tags["dagster/backfill"] == going
    assert not backfill_runs_are_complete(going, launcher.instance, log)

    run_id = starved(launcher, **{"dagster/backfill": over})
    launcher.retry_pending()
    assert launcher.children(run_id) == []
    assert "Not retried for want of memory: its backfill is over." in launcher.messages(run_id)


@needs_cgroup
def test_a_re_execution_by_a_person_begins_anew(launcher: Launching):
    run_id = starved(launcher)
    retry = launcher.retried(run_id)
    assert launcher.finished(retry) is DagsterRunStatus.SUCCESS, launcher.story(retry)
    copied = {key: value for key, value in launcher.tags(run_id).items() if not key.startswith("dagster/")}
    again = starved(launcher, **copied)
    assert will_retry(launcher, again) == "true"
    assert launcher.tags(again)[STATE] == "retry pending"
