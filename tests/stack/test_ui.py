"""The UI in a real browser: a landed file's run with its profile, DuckDB's limits and its log, which is on S3.

`SCREENSHOTS=docs/images` writes the pictures of the documentation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import browser
from composed import Stack
from waiting import until

SAMPLE = ("stores/2018-09-01.jsonl", "orders/2018-09-01.csv")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser.page(height=1000) as opened:
        yield opened


@pytest.fixture(scope="module")
def run_page(stack: Stack) -> str:
    """The address of the page of a run that loaded landed files."""
    for name in SAMPLE:
        stack.s3().upload_file(
            str(stack.folder / "code_locations/ecommerce/sample" / name), "data-landing", name
        )

    def loaded() -> str | None:
        runs = stack.graphql(
            """{ runsOrError(filter: {statuses: [SUCCESS], tags: [{key: "slipway/landing", value: "jaffle_shop"}]})
                 { ... on Runs { results { runId } } } }"""
        )["runsOrError"]["results"]
        return runs[0]["runId"] if runs else None

    run_id = until(loaded, 90, "no run has loaded the landed files")
    return f"http://127.0.0.1:{stack.ui_port}/runs/{run_id}"


def picture(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_the_run_page_shows_profile_and_limits(page: Page, run_page: str) -> None:
    page.goto(run_page)
    expect(page.get_by_text("RUN_SUCCESS")).to_be_visible()
    page.get_by_text("RUN_SUCCESS").hover()
    launched = page.get_by_text("with profile 'small' (location)")
    until(lambda: page.mouse.wheel(0, -20_000) or launched.count(), 30, "no event says what was launched")
    expect(launched).to_contain_text("CPU 1, memory 1Gi, scratch 20Gi; DuckDB: memory 512MiB, threads 1")
    picture(page, "run")


def test_the_runs_log_is_read_from_s3(page: Page, run_page: str) -> None:
    page.goto(f"{run_page}?logType=stderr")
    # the steps are one process, and so one log, which the page knows when it has read the run's events
    expect(page.get_by_text("Succeeded (16)")).to_be_visible()
    page.get_by_placeholder("Select a step").first.click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_text("s3://dagster-compute-logs/compute-logs/").last).to_be_visible()
    expect(page.get_by_text("STEP_SUCCESS").first).to_be_visible()
    picture(page, "log")


def test_the_sensors_log_is_read_from_s3(stack: Stack, run_page: str) -> None:
    state = stack.graphql(
        """{ sensorOrError(sensorSelector: {repositoryLocationName: "ecommerce", repositoryName: "__repository__",
              sensorName: "jaffle_shop_landing"}) { ... on Sensor { sensorState {
                ticks(statuses: [SUCCESS]) { logKey logEvents { events { message } } } } } } }"""
    )["sensorOrError"]["sensorState"]
    messages = [event["message"] for tick in state["ticks"] for event in tick["logEvents"]["events"]]
    assert [message for message in messages if message.startswith("Claimed ")], state


def test_every_location_is_loaded(page: Page, stack: Stack) -> None:
    page.goto(f"http://127.0.0.1:{stack.ui_port}/locations")
    for name in ("ecommerce", "veteran"):
        expect(page.locator("tr,div", has_text=name).get_by_text("Loaded").first).to_be_visible()
    picture(page, "locations")
