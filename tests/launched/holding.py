"""Runs that hold their place until a file appears."""

import time
from pathlib import Path

import dagster as dg


class Hold(dg.Config):
    """How long."""

    until: str


def _hold(context: dg.OpExecutionContext, config: Hold) -> None:
    context.log.info("has its place")
    while not Path(config.until).exists():
        time.sleep(0.05)


@dg.op(pool="lathe")
def hold(context: dg.OpExecutionContext, config: Hold) -> None:
    _hold(context, config)


@dg.op(pool="drill")
def hold_unnamed_pool(context: dg.OpExecutionContext, config: Hold) -> None:
    _hold(context, config)


@dg.op
def hold_no_pool(context: dg.OpExecutionContext, config: Hold) -> None:
    _hold(context, config)


@dg.job(executor_def=dg.in_process_executor)
def holding() -> None:
    hold()


@dg.job(executor_def=dg.in_process_executor)
def holding_unnamed_pool() -> None:
    hold_unnamed_pool()


@dg.job(executor_def=dg.in_process_executor)
def holding_no_pool() -> None:
    hold_no_pool()
