"""What happens when files arrive: their rows, and everything made of them."""

from dagster import AssetSelection, Definitions, define_asset_job, definitions, in_process_executor
from slipway.landing import landing_sensor

load_jaffle_shop = define_asset_job(
    "load_jaffle_shop",
    selection=AssetSelection.groups("raw", "staging", "marts"),
    # One process: the steps are short, and a process for each would cost more time and memory than they do.
    executor_def=in_process_executor,
    description="Loads what has landed, and rebuilds what is made of it.",
)


@definitions
def landing() -> Definitions:
    """The job, and the sensor that starts it."""
    return Definitions(jobs=[load_jaffle_shop], sensors=[landing_sensor("jaffle_shop", job=load_jaffle_shop)])
