"""The resources that assets ask for, and how runs execute."""

from pathlib import Path

from dagster import Definitions, definitions, in_process_executor
from slipway.landing import LandingResource
from slipway.resources import LakeResource

SAMPLE = Path(__file__).resolve().parents[3] / "sample"
"""Files that stand in for the landing when the project runs without a platform."""


@definitions
def resources() -> Definitions:
    """The lake, and the landing that the source's files arrive in."""
    return Definitions(
        resources={
            "lake": LakeResource(local_name="ecommerce"),
            "jaffle_shop": LandingResource(landing="jaffle_shop", local_folder=str(SAMPLE)),
        },
        # One process: the steps are short, and a process for each would cost more time and memory than they do.
        executor=in_process_executor,
    )
