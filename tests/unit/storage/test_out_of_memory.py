"""Which failures are for want of memory, as real runs report them."""

from __future__ import annotations

import inspect
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from dagster import DagsterInstance, Failure, OpExecutionContext, RetryRequested, job, op
from dagster._core.events import DagsterEventType

from slipway.memory.exhaustion import Outlook, State
from slipway.memory.kernel import Account
from slipway.storage.out_of_memory import Witness, witnessed


def collect(setting: str) -> None:
    with duckdb.connect(config={"memory_limit": "40MB", "threads": "1"}) as connection:
        connection.execute(setting)
        connection.execute("SELECT len(list(range)) FROM range(20000000)")


def full_scratch(folder: Path) -> None:
    with duckdb.connect(config={"memory_limit": "40MB", "threads": "1"}) as connection:
        connection.execute(f"SET temp_directory = '{folder}'; SET max_temp_directory_size = '1MB'")
        connection.execute("CREATE TABLE t AS SELECT range AS i, hash(range) AS h FROM range(20000000)")


def failures(
    body: Callable[[], object], account: Account | None, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Messages of the step's failure and the run's end, as they are stored, and the run's state."""

    @op
    def work(context):
        body(context) if inspect.signature(body).parameters else body()

    @job
    def one_step():
        work()

    run_id = str(uuid.uuid4())
    witness = Witness(Outlook(run_id, "small", 2**30, "it is retried", State.PENDING, True), account)
    with DagsterInstance.ephemeral() as instance:
        store = instance.event_log_storage.store_event
        monkeypatch.setattr(
            instance.event_log_storage,
            "store_event",
            lambda event: store(witnessed(event, witness, lambda: instance)),
        )
        one_step.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False)
        (step,) = instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)
        (run,) = instance.all_logs(
            run_id, of_type={DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED}
        )
        tags = instance.get_run_by_id(run_id).tags
        return [step.message, run.message, tags.get("slipway/out_of_memory", "")]


def refuse() -> None:
    raise MemoryError


def wrapped() -> None:
    try:
        refuse()
    except MemoryError as error:
        raise Failure("could not load") from error


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (refuse, "MemoryError"),
        (wrapped, "MemoryError"),
        (lambda: collect("SET temp_directory = ''"), "OutOfMemoryException"),
    ],
)
def test_an_error_that_says_so_is_the_reason(body, name: str, monkeypatch: pytest.MonkeyPatch):
    step, run, state = failures(body, None, monkeypatch)
    expected = (
        f"Out of memory: step 'work' was given no more ({name}) at the memory limit of 1Gi of profile 'small'"
    )
    assert step.startswith(expected)
    assert run.startswith(expected)
    assert 'Execution of run for "one_step" failed.' in run
    assert state == "retry pending"


def test_a_full_scratch_is_no_want_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    step, run, state = failures(lambda: full_scratch(tmp_path), None, monkeypatch)
    assert "Out of memory" not in step + run
    assert state == ""


def test_any_other_error_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch):
    step, run, state = failures(lambda: 1 / 0, None, monkeypatch)
    assert step == 'Execution of step "work" failed.'
    assert "Out of memory" not in run
    assert state == ""


def kills(folder: Path, number: int) -> None:
    (folder / "memory.oom_control").write_text(f"oom_kill {number}\n")


def test_a_step_that_fails_after_a_kill_was_out_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def lose_a_process() -> None:
        kills(tmp_path, 1)
        subprocess.run([sys.executable, "-c", "exit(1)"], check=True)

    step, run, state = failures(lose_a_process, Account(1, tmp_path), monkeypatch)
    assert step.startswith("Out of memory: the kernel killed step 'work', or a process of it,")
    assert run.startswith("Out of memory: the kernel killed step 'work', or a process of it,")
    assert state == "retry pending"


def test_kills_before_a_step_are_not_its_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kills(tmp_path, 1)
    step, run, state = failures(lambda: 1 / 0, Account(1, tmp_path), monkeypatch)
    assert "Out of memory" not in step + run
    # The launcher, which sees the kill, is told that it is not the reason.
    assert state == "no"


def test_kills_of_an_earlier_attempt_are_not_the_last_ones_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def lose_a_process_once(context: OpExecutionContext) -> None:
        if context.retry_number == 0:
            kills(tmp_path, 1)
            raise RetryRequested(max_retries=1)
        raise ValueError

    step, run, state = failures(lose_a_process_once, Account(1, tmp_path), monkeypatch)
    assert "Out of memory" not in step + run
    assert state == "no"


def test_a_run_that_is_being_terminated_is_canceled_and_waits_for_nothing(monkeypatch: pytest.MonkeyPatch):
    def end_and_refuse(context: OpExecutionContext) -> None:
        context.instance.report_run_canceling(context.run)
        raise MemoryError

    _, run, state = failures(end_and_refuse, None, monkeypatch)
    assert run == "Run was canceled. Failed steps: ['work']."
    assert state == ""
