"""Assets that print, for the tests of the stack: its ecommerce location gets this file."""

import time

import dagster as dg

from slipway.resources import LakeResource


@dg.asset
def brief() -> None:
    """Print a line."""
    print("in brief")


@dg.asset
def talking() -> None:
    """Print the time, ten times a second, until stopped."""
    try:
        for _ in range(1200):
            print(f"it is {time.time():.2f}")
            time.sleep(0.1)
    finally:
        print("and that was all")


@dg.asset(tags={"slipway/profile": "narrow"})
def overflowing(lake: LakeResource) -> None:
    """Sort more than the scratch of its profile holds."""
    with lake.connect() as connection:
        connection.execute(
            "CREATE TEMP TABLE sorted AS SELECT hash(range) AS h FROM range(200000000) ORDER BY h"
        )


defs = dg.Definitions(assets=[brief, talking, overflowing])
