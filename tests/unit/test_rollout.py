"""When a location is loaded again after another server has answered."""

from __future__ import annotations

from slipway.rollout import LOADS_AFTER_SECONDS, Settling

SOON, LATER = LOADS_AFTER_SECONDS


def loads(*seen: tuple[float, str, str | None]) -> list[float]:
    """Times at which the location is loaded, by when which server answered while which was loaded."""
    settling = Settling()
    return [now for now, answering, loaded in seen if settling.see(answering, loaded, now)]


def test_nothing_happens_while_one_server_answers() -> None:
    assert loads(*((float(now), "a", "a") for now in range(100))) == []


def test_a_location_that_does_not_load_is_left_to_dagster() -> None:
    assert loads(*((float(now), "a", None) for now in range(100))) == []


def test_another_server_is_loaded_from_when_all_is_quiet_and_once_more() -> None:
    before = [(0.0, "a", "a"), (1.0, "b", "b")]
    assert loads(*before, *((1.0 + now, "b", "b") for now in range(1, 60))) == [1 + SOON, 1 + LATER]


def test_while_both_answer_nothing_is_quiet() -> None:
    both = [(float(now), "ab"[now % 2], "b") for now in range(10)]
    after = [(float(now), "b", "b") for now in range(10, 60)]
    assert loads(*both, *after) == [9 + SOON, 9 + LATER]


def test_what_is_loaded_of_a_server_that_is_gone_is_loaded_again() -> None:
    """Nobody saw the change: another watch began when the new server was the only one."""
    assert loads(*((float(now), "b", "a") for now in range(int(LATER)))) == [SOON]
    stale = [(float(now), "b", "a") for now in range(int(LATER) + 1)]
    fresh = [(float(now), "b", "b") for now in range(int(LATER) + 1, 60)]
    assert loads(*stale, *fresh) == [SOON, LATER]
