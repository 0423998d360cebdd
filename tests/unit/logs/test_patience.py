"""How long a run's processes may wait for an S3 that does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.logs.patience import (
    ALLOWANCE_SECONDS,
    GRACE_SECONDS,
    LIMIT_SECONDS,
    Patience,
    granted,
    spent_seconds,
)


@pytest.mark.parametrize(
    ("lines", "spent"),
    [
        ([], 0),
        (["a begin 10", "a end 13"], 3),
        (["a begin 10", "a end 13", "b begin 20", "b end 21"], 4),
        # Two that wait at once delay the run once.
        (["a begin 10", "b begin 11", "a end 13", "b end 14"], 4),
        (["a begin 10", "b begin 11", "b end 12", "a end 13"], 3),
        # One that waits still, and one that was killed while it did.
        (["a begin 98"], 2),
        (["a begin 50"], ALLOWANCE_SECONDS),
    ],
)
def test_time_is_counted_in_which_anybody_waited(lines: list[str], spent: float) -> None:
    assert spent_seconds(lines, now=100) == spent


def test_no_run_waits_for_more_than_ten_seconds_however_many_steps_it_has() -> None:
    total = 0.0
    for _ in range(1000):
        total += granted(total)
    assert LIMIT_SECONDS <= total < 10


def test_the_first_wait_is_long_enough_for_a_slow_answer_and_later_ones_short() -> None:
    assert granted(0) == ALLOWANCE_SECONDS
    assert granted(ALLOWANCE_SECONDS) == GRACE_SECONDS


def test_an_answer_gives_the_whole_allowance_back(tmp_path: Path) -> None:
    file = tmp_path / "waited"
    file.write_text("a begin 10\na end 19\n")
    assert Patience(file).begin() == 0
    Patience(file).end(in_vain=False)
    assert Patience(file).begin() == ALLOWANCE_SECONDS
