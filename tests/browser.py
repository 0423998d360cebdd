"""A real headless browser for the tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str | None:
    """The browser of this machine: `CHROMIUM`, or what is on the path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextmanager
def page(width: int = 1440, height: int = 900) -> Iterator[Page]:
    """A page of a fresh browser, without what another left. Skips the test where there is no browser."""
    if executable() is None:
        pytest.skip("no Chromium here (Debian: apt install chromium; elsewhere name it: CHROMIUM=/path)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        try:
            opened = browser.new_page(viewport={"width": width, "height": height})
            opened.set_default_timeout(60_000)
            yield opened
        finally:
            browser.close()
