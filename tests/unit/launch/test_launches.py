"""Launches that wait for an engine that is away, and are not disturbed meanwhile."""

import threading

import pytest

from slipway.launch import launches
from slipway.launch.adapter import EngineUnreachable
from slipway.launch.launches import Interrupted, Launches
from waiting import until


def test_an_engine_that_is_away_for_a_moment_costs_a_wait(monkeypatch):
    monkeypatch.setattr(launches, "ATTEMPT_SECONDS", 0.01)
    attempts = []

    def action():
        attempts.append(1)
        if len(attempts) < 3:
            raise EngineUnreachable("away")
        return "done"

    assert Launches().patiently(action) == "done"
    assert len(attempts) == 3


def away():
    raise EngineUnreachable("away")


def test_in_the_end_patience_is_over(monkeypatch):
    monkeypatch.setattr(launches, "ATTEMPT_SECONDS", 0.01)
    monkeypatch.setattr(launches, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(EngineUnreachable, match="away"):
        Launches().patiently(away)


def test_patience_outlasts_an_api_server_that_is_away_for_a_minute():
    assert launches.PATIENCE_SECONDS >= 90


def test_the_end_of_the_process_ends_the_wait():
    waiting, found = Launches(), []

    def launch():
        try:
            waiting.patiently(away)
        except Interrupted as error:
            found.append(error)

    thread = threading.Thread(target=launch)
    thread.start()
    waiting.end()
    thread.join(5)
    assert found


def test_what_fails_of_itself_is_not_tried_again():
    with pytest.raises(ZeroDivisionError):
        Launches().patiently(lambda: 1 / 0)


def test_a_run_is_being_launched_until_it_is(monkeypatch):
    known = Launches()
    begun, go_on = threading.Event(), threading.Event()

    def launch():
        with known.launching("a"):
            begun.set()
            go_on.wait(5)

    thread = threading.Thread(target=launch)
    thread.start()
    begun.wait(5)
    assert known.is_launching("a")
    assert not known.is_launching("b")
    go_on.set()
    until(lambda: not known.is_launching("a"), 5)
    assert known.launched("a", otherwise=lambda: 0.0) > 0


def test_of_a_run_that_another_process_launched_it_is_asked_once():
    known, asked = Launches(), []

    def otherwise():
        asked.append(1)
        return 7.0

    assert known.launched("a", otherwise) == known.launched("a", otherwise) == 7.0
    assert len(asked) == 1
    known.forget_all_but(["b"])
    known.launched("a", otherwise)
    assert len(asked) == 2
