"""Assets and jobs that ask for profiles in every way, and say what their run was given."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster import AutomationCondition, DefaultScheduleStatus, DefaultSensorStatus

PROFILE = "slipway/profile"
DAYS = dg.DailyPartitionsDefinition(start_date="2024-01-01", end_date="2024-01-13")
LETTERS = dg.StaticPartitionsDefinition(["a", "b", "c"])
GRID = dg.MultiPartitionsDefinition({"day": DAYS, "region": dg.StaticPartitionsDefinition(["eu", "us"])})
WHEN_MISSING = AutomationCondition.missing() & ~AutomationCondition.in_progress()


def kernel_limit() -> int:
    """Bytes that the cgroup of this process may use; 0 where there is none."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        v1, v2 = Path(f"/sys/fs/cgroup/memory{path}"), Path(f"/sys/fs/cgroup{path}")
        for file in (v1 / "memory.limit_in_bytes", v2 / "memory.max"):
            if controllers in ("memory", "") and file.exists() and "slipway" in str(file):
                return int(file.read_text())
    return 0


def seen() -> dict[str, object]:
    return {"duckdb": os.environ.get("DUCKDB_MEMORY_LIMIT", "none"), "kernel": kernel_limit()}


def asset(name: str, profile: str | None = None, **more: object) -> dg.AssetsDefinition:
    @dg.asset(name=name, tags={PROFILE: profile} if profile else {}, **more)
    def made() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata=seen())

    return made


class Hold(dg.Config):
    file: str


@dg.asset
def holding(config: Hold) -> dg.MaterializeResult:
    """Wait until a file is there."""
    while not Path(config.file).exists():
        time.sleep(0.1)
    return dg.MaterializeResult(metadata=seen())


@dg.asset(partitions_def=DAYS)
def days(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    time.sleep(1)
    return dg.MaterializeResult(metadata={"day": context.partition_key})


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def whole(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"days": len(context.partition_keys)})


@dg.multi_asset(specs=[dg.AssetSpec("twin_one"), dg.AssetSpec("twin_two")])
def twins() -> Iterator[dg.MaterializeResult]:
    yield from (dg.MaterializeResult("twin_one"), dg.MaterializeResult("twin_two"))


@dg.asset
def failing() -> None:
    raise ValueError("the well is dry")


@dg.op
def look(context: dg.OpExecutionContext) -> None:
    context.log_event(dg.AssetMaterialization("looked", metadata=seen()))


@dg.job
def looking() -> None:
    look()


class Words(dg.Config):
    text: str


@dg.op
def speak(config: Words) -> None:
    assert config.text


@dg.job
def speaking() -> None:
    speak()


@dg.job(partitions_def=LETTERS)
def spelling() -> None:
    look()


both = dg.define_asset_job("both", ["tall_one", "wide_one", "plain_one"])
nightly = dg.define_asset_job("nightly", ["tall_one"], tags={PROFILE: "nightly"})
own_run_tags = dg.define_asset_job("own_run_tags", ["tall_one"], run_tags={PROFILE: "nightly"})
lettered = dg.define_asset_job("lettered", ["tall_letters"], tags={PROFILE: "nightly"})

CASES = {
    "run": ("both", {PROFILE: "asked"}),
    "job": ("nightly", {}),
    "asset": ("both", {}),
    "location": ("looking", {}),
}
"""Job and tags that a sensor and four schedules ask for, by the rule that shall decide."""


def requested(case: str, by: str) -> dg.RunRequest:
    job, tags = CASES[case]
    name = f"{by} {case}"
    return dg.RunRequest(run_key=name, job_name=job, tags={**tags, "case": name})


@dg.sensor(jobs=[both, nightly, looking], default_status=DefaultSensorStatus.RUNNING)
def asking() -> Iterator[dg.RunRequest]:
    yield from (requested(case, "sensor") for case in CASES)


def scheduled(case: str) -> dg.ScheduleDefinition:
    job, tags = CASES[case]
    name = f"schedule {case}"

    def once(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if context.instance.get_runs_count(dg.RunsFilter(tags={"case": name})):
            return dg.SkipReason("one is enough")
        return dg.RunRequest(tags={**tags, "case": name})

    return dg.ScheduleDefinition(
        name=f"each_minute_{case}",
        job_name=job,
        cron_schedule="* * * * *",
        execution_fn=once,
        default_status=DefaultScheduleStatus.RUNNING,
    )


def automated(case: str, *assets: str, **more: object) -> dg.AutomationConditionSensorDefinition:
    return dg.AutomationConditionSensorDefinition(
        f"conditions_{case}",
        target=list(assets),
        default_status=DefaultSensorStatus.RUNNING,
        run_tags={"case": f"condition {case}", **more},
    )


defs = dg.Definitions(
    executor=dg.in_process_executor,
    assets=[
        asset("plain_one"),
        asset("tall_one", "tall"),
        asset("wide_one", "wide"),
        asset("tall_letters", "tall", partitions_def=LETTERS),
        asset("plain_letters", partitions_def=LETTERS),
        asset("grid", partitions_def=GRID),
        asset("automatic_tall", "tall", automation_condition=WHEN_MISSING),
        asset("automatic_wide", "wide", automation_condition=WHEN_MISSING),
        asset("automatic_plain", automation_condition=WHEN_MISSING),
        asset("automatic_asked", "tall", automation_condition=WHEN_MISSING),
        holding,
        days,
        whole,
        twins,
        failing,
        dg.AssetSpec("outside"),
    ],
    jobs=[both, nightly, own_run_tags, lettered, looking, speaking, spelling],
    sensors=[
        asking,
        automated("asset", "automatic_tall", "automatic_wide"),
        automated("location", "automatic_plain"),
        automated("run", "automatic_asked", **{PROFILE: "asked"}),
    ],
    schedules=[scheduled(case) for case in CASES],
)
