from datetime import timedelta

import pytest

from slipway.landing.isolation import (
    HOPELESS_DELAY,
    Attempt,
    Fault,
    Quarantine,
    Retry,
    Split,
    halves,
    verdict,
)


def narrow(files: list[str], poison: set[str]) -> tuple[list[str], list[str], int]:
    """Play the verdicts to the end: what is loaded, what is quarantined, how many runs it took."""
    loaded: list[str] = []
    quarantined: list[str] = []
    runs = 0
    queue: list[tuple[list[str], int]] = [(files, 1)]
    while queue:
        batch, attempt = queue.pop(0)
        runs += 1
        if not poison & set(batch):
            loaded += batch
            continue
        match verdict(Fault.STEP, Attempt(len(batch), attempt, len(loaded), len(quarantined))):
            case Split():
                queue += [(list(half), 1) for half in halves(batch)]
            case Retry():
                queue.append((batch, attempt + 1))
            case Quarantine():
                quarantined += batch
    return loaded, quarantined, runs


def test_one_poison_file_among_a_thousand_is_found_in_few_runs():
    files = [f"f{n}" for n in range(1000)]
    loaded, quarantined, runs = narrow(files, {"f617"})
    assert quarantined == ["f617"]
    assert sorted(loaded) == sorted(set(files) - {"f617"})
    assert runs <= 22


def test_several_poison_files():
    files = [f"f{n}" for n in range(64)]
    poison = {"f0", "f1", "f33", "f63"}
    loaded, quarantined, _ = narrow(files, poison)
    assert set(quarantined) == poison
    assert len(loaded) == 60


def test_a_single_file_gets_a_second_chance():
    assert isinstance(verdict(Fault.STEP, Attempt(files=1, attempt=1)), Retry)
    assert verdict(Fault.STEP, Attempt(files=1, attempt=2)) == Quarantine()


@pytest.mark.parametrize("fault", [Fault.SURROUNDINGS, Fault.CANCELLED, Fault.UNREAD])
def test_what_is_no_files_fault_never_quarantines_and_waits_longer_each_time(fault):
    delays = []
    for attempt in range(1, 100):
        decision = verdict(fault, Attempt(files=1, attempt=attempt))
        assert isinstance(decision, Retry)
        delays.append(decision.delay)
    assert delays == sorted(delays)
    assert delays[0] < delays[3] < timedelta(hours=2)
    assert delays[-1] == delays[-2]


def test_a_lost_worker_may_have_been_bad_luck_once():
    assert isinstance(verdict(Fault.LOST, Attempt(files=8, attempt=1)), Retry)
    assert verdict(Fault.LOST, Attempt(files=8, attempt=2)) == Split()
    assert verdict(Fault.LOST, Attempt(files=1, attempt=2)) == Quarantine()


def test_runs_that_dagster_repeated_itself_count():
    assert verdict(Fault.LOST, Attempt(files=8, attempt=1), runs=2) == Split()
    assert isinstance(verdict(Fault.LOST, Attempt(files=1, attempt=1), runs=2), Retry)
    assert verdict(Fault.LOST, Attempt(files=1, attempt=2), runs=2) == Quarantine()


def test_when_everything_fails_halving_slows_down():
    assert verdict(Fault.STEP, Attempt(8, 1, kin_done=0, kin_quarantined=5)) == Split(HOPELESS_DELAY)
    assert verdict(Fault.STEP, Attempt(8, 1, kin_done=1, kin_quarantined=5)) == Split()


def test_halves_lose_nothing_and_part_neighbours():
    assert halves([1, 2, 3, 4, 5]) == ([1, 3, 5], [2, 4])
