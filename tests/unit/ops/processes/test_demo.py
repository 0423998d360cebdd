from dataclasses import replace

import pytest

from slipway.ops.processes.demo import Progress

SETTLED = Progress(landed=116, to_land=116, seen=114, done=113, quarantined=1, runs_done=2, rows=9000)


def test_it_is_settled_when_everything_landed_is_dealt_with() -> None:
    assert SETTLED.settled


@pytest.mark.parametrize(
    "difference",
    [
        {"landed": 115},
        {"keys_to_see": 1},
        {"done": 100, "claimed": 13},
        {"runs_active": 1},
        {"runs_done": 0},
        {"landed": 0, "to_land": 0},
    ],
)
def test_it_is_not_settled_while_anything_is_open(difference: dict[str, int]) -> None:
    assert not replace(SETTLED, **difference).settled


def test_the_line_names_failures_and_quarantine_only_when_there_are_any() -> None:
    assert "quarantined" in SETTLED.line()
    assert "quarantined" not in replace(SETTLED, quarantined=0).line()
    assert "1 failed" in replace(SETTLED, runs_failed=1).line()
