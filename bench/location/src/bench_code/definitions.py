"""What Slipway runs: a job that does nothing, and an asset that reads a landed file."""

from typing import Any

from dagster import AssetExecutionContext, Definitions, MaterializeResult, asset, define_asset_job, job, op

from slipway.landing import LandingResource, landing_sensor


@op
def nothing() -> None:
    """Does nothing."""


@job
def trivial() -> None:
    """One step, which does nothing: what is left is the price of a run."""
    nothing()


@asset
def landed(context: AssetExecutionContext, incoming: LandingResource) -> MaterializeResult[Any]:
    """Reads the files that the run was started for."""
    batch = incoming.batch(context)
    size = sum(len(file.path.read_bytes()) for file in batch.files)
    batch.finish()
    return MaterializeResult(metadata={"key": " ".join(file.key for file in batch.files), "bytes": size})


load = define_asset_job("load", selection=[landed])

defs = Definitions(
    assets=[landed],
    jobs=[trivial, load],
    sensors=[landing_sensor("bench", job=load)],
    resources={"incoming": LandingResource(landing="bench")},
)
