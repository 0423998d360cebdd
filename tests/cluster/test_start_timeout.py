"""What becomes of the runs that could not start."""

from __future__ import annotations

import pytest

from doomed import DOOMED, START_TIMEOUT, Doomed
from installed import Installed
from waiting import until


@pytest.mark.parametrize("kind", DOOMED)
def test_a_run_that_never_starts_fails_with_the_reason_and_leaves_no_pod(
    installed: Installed, doomed: Doomed, kind: str
) -> None:
    run_id = doomed.runs[kind]
    run = installed.finished(run_id, doomed.remaining(START_TIMEOUT + 60) + 1)
    assert run["status"] == "FAILURE"
    failure = installed.messages(run_id)[-1] + installed.failure(run_id)
    for text in DOOMED[kind].says:
        assert text in failure
    until(lambda: installed.run_is_gone(run_id), 30, "its Job or its pod is still there")
