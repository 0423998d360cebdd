"""What the stock side runs: a job that does nothing, and an asset that reads a landed file."""

from collections.abc import Iterator
from typing import Any

import boto3
from dagster import (
    AssetExecutionContext,
    DefaultSensorStatus,
    Definitions,
    MaterializeResult,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    asset,
    define_asset_job,
    job,
    op,
    sensor,
)

BUCKET = "data-landing"


@op
def nothing() -> None:
    """Does nothing."""


@job
def trivial() -> None:
    """One step, which does nothing: what is left is the price of a run."""
    nothing()


@asset
def landed(context: AssetExecutionContext) -> MaterializeResult[Any]:
    """Reads the file that the sensor found."""
    key = context.run.tags["key"]
    body = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return MaterializeResult(metadata={"key": key, "bytes": len(body)})


load = define_asset_job("load", selection=[landed])


def s3_file_sensor(
    name: str, prefix: str, interval: int | None, status: DefaultSensorStatus
) -> SensorDefinition:
    """The sensor of Dagster's pattern for S3: list what sorts after the last key that was seen."""

    @sensor(name=name, job=load, minimum_interval_seconds=interval, default_status=status)
    def evaluate(context: SensorEvaluationContext) -> Iterator[RunRequest]:
        listing = boto3.client("s3").list_objects_v2(
            Bucket=BUCKET, Prefix=prefix, StartAfter=context.cursor or ""
        )
        found = listing.get("Contents", [])
        if found:
            latest = found[-1]["Key"]
            context.update_cursor(latest)
            yield RunRequest(run_key=latest, tags={"key": latest})

    return evaluate


defs = Definitions(
    assets=[landed],
    jobs=[trivial, load],
    sensors=[
        s3_file_sensor("default_interval", "default/", None, DefaultSensorStatus.RUNNING),
        # Switched on only while it is measured: it costs the machine a code server's call each second.
        s3_file_sensor("every_second", "tuned/", 1, DefaultSensorStatus.STOPPED),
    ],
)
