"""Which steps a retry repeats, and what its daemon relies on in Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, FilesystemIOManager, In, Nothing, job, mem_io_manager, op
from dagster._core.test_utils import instance_for_test
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    consume_new_runs_for_automatic_reexecution,
)
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from slipway.daemon.__main__ import daemons
from slipway.daemon.resuming import NothingLeft, strategy
from slipway.daemon.retries import OtherRetries


@op
def number() -> int:
    return 7


@op
def lose(number: int) -> None:
    raise MemoryError


@op(ins={"after": In(Nothing)})
def lose_alone() -> None:
    raise MemoryError


def failed(
    instance: DagsterInstance,
    *,
    alone: bool = False,
    keep: object = None,
    tags: Mapping[str, str] | None = None,
) -> DagsterRun:
    """A run whose second step failed, and whose first one's output is kept by that IO manager."""

    @job(resource_defs={"io_manager": keep or mem_io_manager})
    def two_steps() -> None:
        lose_alone(after=number()) if alone else lose(number())

    done = two_steps.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    return run


@pytest.mark.parametrize(
    ("kept_in", "expected"),
    [("scratch", "ALL_STEPS"), ("elsewhere", "FROM_FAILURE"), ("scratchy", "FROM_FAILURE")],
)
def test_an_output_in_the_scratch_is_lost(tmp_path: Path, kept_in: str, expected: str) -> None:
    with DagsterInstance.ephemeral() as instance:
        run = failed(instance, keep=FilesystemIOManager(base_dir=str(tmp_path / kept_in)))
        assert strategy(instance, run, str(tmp_path / "scratch")) == expected


def test_an_output_that_nobody_says_the_place_of_is_taken_for_lost_if_it_is_needed(tmp_path: Path) -> None:
    with DagsterInstance.ephemeral() as instance:
        assert strategy(instance, failed(instance), str(tmp_path)) == "ALL_STEPS"
        assert strategy(instance, failed(instance, alone=True), str(tmp_path)) == "FROM_FAILURE"


def test_the_runs_own_tag_decides(tmp_path: Path) -> None:
    with DagsterInstance.ephemeral() as instance:
        run = failed(instance, tags={"dagster/retry_strategy": "FROM_FAILURE"})
        assert strategy(instance, run, str(tmp_path)) == "FROM_FAILURE"


def test_where_every_step_had_finished_there_is_nothing_to_repeat(tmp_path: Path) -> None:
    @job
    def one_step() -> None:
        number()

    with DagsterInstance.ephemeral() as instance:
        done = one_step.execute_in_process(instance=instance)
        instance.report_run_failed(instance.get_run_by_id(done.run_id))
        with pytest.raises(NothingLeft):
            strategy(instance, instance.get_run_by_id(done.run_id), str(tmp_path))


def test_dagsters_daemon_of_retries_does_nothing_else() -> None:
    assert list(EventLogConsumerDaemon().handle_updated_runs_fns) == [
        consume_new_runs_for_automatic_reexecution
    ]
    assert OtherRetries.daemon_type() == EventLogConsumerDaemon.daemon_type()


def test_ours_takes_its_place() -> None:
    with instance_for_test(overrides={"run_retries": {"enabled": True}}) as instance:
        found = [daemon for daemon in daemons(instance) if isinstance(daemon, EventLogConsumerDaemon)]
    assert [type(daemon) for daemon in found] == [OtherRetries]
