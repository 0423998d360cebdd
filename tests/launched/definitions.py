"""Assets and jobs that show what a run worker was given, and that misbehave on request."""

import json
import os
import time
from pathlib import Path

import dagster as dg
import duckdb

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
    assert b"x" * (config.mebibytes << 20) is not None


@dg.op
def wait(context: dg.OpExecutionContext, config: Amount) -> None:
    """Wait, and say so when interrupted."""
    context.log.info("holding on")
    try:
        time.sleep(config.seconds)
    finally:
        context.log.info("let go")


@dg.op
def vanish() -> None:
    """End the whole process behind Dagster's back."""
    print("about to vanish", flush=True)
    os._exit(3)


@dg.job(executor_def=dg.in_process_executor)
def eating() -> None:
    eat()


@dg.job(executor_def=dg.multiprocess_executor)
def eating_in_a_step_process() -> None:
    eat()


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
        waiting,
        waiting_in_a_step_process,
        vanishing,
        talking,
        spilling,
        tagged,
        dg.define_asset_job("everything", selection="*"),
        dg.define_asset_job("surroundings_job", selection="surroundings"),
    ],
)
