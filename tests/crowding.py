"""Assets of which many runs go on at once, for the tests on a cluster: its location `launched` gets this file."""

import time

import dagster as dg

from slipway import config
from slipway.aws import s3_client
from slipway.config.connections import s3_settings
from slipway.resources import LakeResource

MEMBERS = 50
ROWS = 100
READY, GO = "crowd/ready/", "crowd/go"
"""Keys in the lake's bucket: who is there, and that they may go on."""


class Start(dg.ConfigurableResource):
    """Where runs wait for one another."""

    def wait(self, name: str) -> None:
        """Say that one is there, and wait for the word."""
        platform = config.current()
        client = s3_client(s3_settings(platform, platform.lake.storage_ref))
        client.put_object(Bucket=platform.lake.bucket, Key=READY + name)
        while not client.list_objects_v2(Bucket=platform.lake.bucket, Prefix=GO).get("KeyCount"):
            time.sleep(0.2)


@dg.asset
def crowd_table(lake: LakeResource) -> None:
    """The table, empty."""
    with lake.transaction() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS crowd")
        connection.execute("CREATE OR REPLACE TABLE crowd.rows (member VARCHAR, n BIGINT)")


@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition([f"{number:02}" for number in range(MEMBERS)]),
    tags={"slipway/profile": "tiny"},
)
def crowd(context: dg.AssetExecutionContext, start: Start, lake: LakeResource) -> None:
    """Rows of one table that each partition appends to, once everybody is there."""
    start.wait(context.partition_key)
    with lake.transaction() as connection:
        connection.execute(
            "INSERT INTO crowd.rows SELECT ?, range FROM range(?)", [context.partition_key, ROWS]
        )


class Visit(dg.Config):
    """How long the pool is kept."""

    seconds: float = 0


@dg.op(pool="counter")
def count(context: dg.OpExecutionContext, config: Visit) -> None:
    """Be at the counter, of which platform.yaml says how many may."""
    context.log.info("at the counter")
    time.sleep(config.seconds)


@dg.job(executor_def=dg.in_process_executor, tags={"slipway/profile": "tiny"})
def counting() -> None:
    """One visit."""
    count()


@dg.sensor(minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def ticking(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tick, so that it is seen when a tick fails."""
    return dg.SkipReason("nothing to do")


defs = dg.Definitions(
    assets=[crowd_table, crowd],
    executor=dg.in_process_executor,
    jobs=[counting],
    sensors=[ticking],
    resources={"start": Start(), "lake": LakeResource()},
)
