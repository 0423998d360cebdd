"""Runs that cannot start: each says why within a minute of its launch, and is over after `defaults.start_timeout`."""

from __future__ import annotations

import pytest

from doomed import DOOMED, Doomed
from installed import Installed


@pytest.mark.parametrize("kind", DOOMED)
def test_a_run_that_cannot_start_says_why_within_a_minute(
    installed: Installed, doomed: Doomed, kind: str
) -> None:
    for text in DOOMED[kind].says:
        message = installed.says(doomed.runs[kind], text, doomed.remaining(60))
        assert message
    assert installed.run(doomed.runs[kind])["status"] == "STARTING"
