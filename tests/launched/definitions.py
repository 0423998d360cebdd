"""Assets and jobs that show what a run worker was given, and that misbehave on request."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import duckdb

from launched import filing, holding
from launched.spilling import spilling


@dg.asset(tags={"slipway/profile": "medium"})
def heavy() -> None:
    pass


@dg.asset
def surroundings(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    names = {name: value for name, value in os.environ.items() if name.startswith(("DUCKDB_", "SLIPWAY_"))}
    config = {
        "memory_limit": os.environ["DUCKDB_MEMORY_LIMIT"],
        "threads": os.environ["DUCKDB_THREADS"],
        "temp_directory": os.environ["DUCKDB_TEMP_DIRECTORY"],
        "max_temp_directory_size": os.environ["DUCKDB_MAX_TEMP_DIRECTORY_SIZE"],
        "preserve_insertion_order": os.environ["DUCKDB_PRESERVE_INSERTION_ORDER"],
    }
    with duckdb.connect(config=config) as connection:
        settings = {
            name: connection.execute(f"SELECT current_setting('{name}')").fetchone()[0] for name in config
        }
    return dg.MaterializeResult(
        metadata={
            "duckdb": json.dumps(settings),
            "env": json.dumps(names),
            "location_env": dg.EnvVar("LOCATION_VALUE").get_value() or "",
            "location_secret": dg.EnvVar("LOCATION_SECRET").get_value() or "",
            "foreign": os.environ.get("OTHER_VALUE", "") + os.environ.get("DAEMON_SECRET", ""),
            "identity": f"{os.getuid()}:{os.getgid()}",
            "dagster": dg.__version__,
            "cwd": str(Path.cwd()),
        }
    )


class Amount(dg.Config):
    mebibytes: int = 0
    seconds: float = 0


@dg.op
def eat(context: dg.OpExecutionContext, config: Amount) -> None:
    """Allocate and touch so much memory."""
    context.log.info("eating")
    time.sleep(config.seconds)
    assert b"x" * (config.mebibytes << 20) is not None


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def eat_once(context: dg.OpExecutionContext, config: Amount) -> None:
    """Allocate so much memory, and at the second attempt none."""
    assert context.retry_number or b"x" * (config.mebibytes << 20)


@dg.op
def starve_a_child(config: Amount) -> None:
    """Have a process that takes so much memory, and get over its end."""
    subprocess.run([sys.executable, "-c", f"b'x' * ({config.mebibytes} << 20)"], check=False)


@dg.op(ins={"after": dg.In(dg.Nothing)})
def fail() -> None:
    raise ValueError("something else")


@dg.op
def eat_or_fail(context: dg.OpExecutionContext, config: Amount) -> None:
    """Allocate so much memory; a retry fails of something else."""
    if context.run.parent_run_id:
        raise ValueError("something else")
    assert b"x" * (config.mebibytes << 20) is not None


@dg.op
def number() -> int:
    """A value that the default IO manager keeps in the scratch."""
    return 7


@dg.op(out=dg.Out(dg.Nothing))
def prepare(context: dg.OpExecutionContext) -> None:
    """A step that leaves nothing in the scratch."""
    context.log.info("prepared")


@dg.op
def eat_a_number(context: dg.OpExecutionContext, config: Amount, number: int) -> None:
    assert b"x" * (config.mebibytes << 20) is not None
    context.log.info(f"got {number}")


@dg.op(ins={"after": dg.In(dg.Nothing)})
def eat_afterwards(config: Amount) -> None:
    assert b"x" * (config.mebibytes << 20) is not None


@dg.op
def collect(config: Amount) -> None:
    """Have DuckDB make a list of so much memory, which cannot be spilled."""
    with duckdb.connect(config={"memory_limit": os.environ["DUCKDB_MEMORY_LIMIT"]}) as connection:
        connection.execute(f"SELECT len(list(range)) FROM range({config.mebibytes << 17})")


@dg.op
def wait(context: dg.OpExecutionContext, config: Amount) -> None:
    """Wait, and say so when interrupted."""
    context.log.info("holding on")
    try:
        time.sleep(config.seconds)
    finally:
        context.log.info("let go")


@dg.op
def fill(context: dg.OpExecutionContext, config: Amount) -> None:
    """Write so much to the scratch, and wait."""
    with (Path(os.environ["SLIPWAY_SCRATCH"]) / "filling").open("wb") as file:
        for _ in range(config.mebibytes):
            file.write(os.urandom(1 << 20))
    context.log.info("filled")
    time.sleep(config.seconds)


@dg.op
def vanish() -> None:
    """End the whole process behind Dagster's back."""
    print("about to vanish", flush=True)
    # Dagster copies what is captured to the worker's own output by a `tail` that looks every now and then.
    time.sleep(2)
    os._exit(3)


@dg.job(executor_def=dg.in_process_executor)
def eating() -> None:
    eat()


@dg.job(executor_def=dg.multiprocess_executor)
def eating_in_a_step_process() -> None:
    eat()


@dg.job(executor_def=dg.multiprocess_executor)
def eating_once() -> None:
    eat_once()


@dg.job(executor_def=dg.in_process_executor)
def failing_after_all() -> None:
    fail(after=starve_a_child())


@dg.job(executor_def=dg.in_process_executor)
def eating_a_number() -> None:
    eat_a_number(number())


@dg.job(executor_def=dg.in_process_executor)
def eating_afterwards() -> None:
    eat_afterwards(after=prepare())


@dg.job(executor_def=dg.in_process_executor)
def collecting() -> None:
    collect()


@dg.job(executor_def=dg.in_process_executor)
def eating_or_failing() -> None:
    eat_or_fail()


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    wait()


@dg.job(executor_def=dg.multiprocess_executor)
def waiting_in_a_step_process() -> None:
    wait()


@dg.op
def talk(context: dg.OpExecutionContext) -> None:
    """Print, and wait."""
    print("something to keep", flush=True)
    context.log.info("holding on")
    time.sleep(300)


@dg.job(executor_def=dg.in_process_executor)
def talking() -> None:
    talk()


@dg.job(executor_def=dg.in_process_executor)
def filling() -> None:
    fill()


@dg.job(executor_def=dg.in_process_executor)
def vanishing() -> None:
    vanish()


@dg.job(tags={"slipway/profile": "medium"}, executor_def=dg.in_process_executor)
def tagged() -> None:
    eat()


defs = dg.Definitions(
    assets=[heavy, surroundings],
    jobs=[
        eating,
        eating_in_a_step_process,
        eating_once,
        eating_a_number,
        eating_afterwards,
        failing_after_all,
        eating_or_failing,
        collecting,
        waiting,
        waiting_in_a_step_process,
        filling,
        vanishing,
        talking,
        spilling,
        tagged,
        filing.visiting,
        filing.visiting_without_pool,
        holding.holding,
        holding.holding_unnamed_pool,
        holding.holding_no_pool,
        dg.define_asset_job("everything", selection="*"),
        dg.define_asset_job("surroundings_job", selection="surroundings"),
    ],
)
