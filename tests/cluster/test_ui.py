"""The UI in a real browser, through a port-forward: a landed file's run with its profile, and its log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

import browser
from installed import Installed
from waiting import until


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser.page(height=1000) as opened:
        yield opened


@pytest.fixture(scope="module")
def run_page(installed: Installed) -> str:
    """The address of the page of a run that loaded landed files."""
    runs = until(lambda: installed.succeeded("load_jaffle_shop"), 120, "nothing that landed was loaded")
    return f"{installed.url}/runs/{runs[0]}"


def test_the_run_page_shows_profile_and_limits(page: Page, run_page: str) -> None:
    page.goto(run_page)
    expect(page.get_by_text("RUN_SUCCESS")).to_be_visible()
    page.get_by_text("RUN_SUCCESS").hover()
    launched = page.get_by_text("with profile 'small' (location)")
    until(lambda: page.mouse.wheel(0, -20_000) or launched.count(), 30, "no event says what was launched")
    expect(launched).to_contain_text("CPU 1, memory 1Gi, scratch 20Gi; DuckDB: memory 512MiB, threads 1")


def test_the_runs_log_is_read_from_s3(page: Page, run_page: str) -> None:
    page.goto(f"{run_page}?logType=stderr")
    expect(page.get_by_text("RUN_SUCCESS").or_(page.get_by_text("Succeeded (")).first).to_be_visible()
    page.get_by_placeholder("Select a step").first.click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_text("s3://dagster-compute-logs/compute-logs/").last).to_be_visible()
    expect(page.get_by_text("STEP_SUCCESS").first).to_be_visible()


def test_every_location_is_loaded(page: Page, installed: Installed) -> None:
    page.goto(f"{installed.url}/locations")
    for name in ("ecommerce", "veteran", "launched"):
        expect(page.locator("tr,div", has_text=name).get_by_text("Loaded").first).to_be_visible()
