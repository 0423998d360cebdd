"""What happens when files arrive: their rows, and everything made of them."""

from dagster import AssetSelection, Definitions, define_asset_job, definitions
from slipway.landing import landing_sensor

load_jaffle_shop = define_asset_job(
    "load_jaffle_shop",
    selection=AssetSelection.groups("raw", "staging", "marts"),
    description="Loads what has landed, and rebuilds what is made of it.",
)


@definitions
def landing() -> Definitions:
    """The job, and the sensor that starts it."""
    return Definitions(jobs=[load_jaffle_shop], sensors=[landing_sensor("jaffle_shop", job=load_jaffle_shop)])
