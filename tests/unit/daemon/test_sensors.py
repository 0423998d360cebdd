"""The sensor loop's pause, and that it is all the loop asks of the event in whose place it stands."""

from __future__ import annotations

import inspect
import logging
import re
import threading
import time

from dagster._daemon import sensor
from dagster._daemon.daemon import SensorDaemon

from slipway.daemon.sensors import SECOND_LOOK_SECONDS, SHUTDOWN_SECONDS, Pause, WakingSensorDaemon


def waited(pause: Pause, timeout: float) -> float:
    began = time.monotonic()
    pause.wait(timeout)
    return time.monotonic() - began


def test_with_nobody_to_wake_it_a_wait_takes_its_time() -> None:
    assert waited(Pause(threading.Event(), threading.Event()), 0.3) >= 0.3


def test_a_wake_ends_the_wait_and_is_followed_by_a_second_look_and_no_third() -> None:
    woken = threading.Event()
    pause = Pause(threading.Event(), woken)
    threading.Timer(0.1, woken.set).start()
    assert waited(pause, 60) < 30
    assert SECOND_LOOK_SECONDS * 0.9 < waited(pause, 60) < 30
    assert waited(pause, SECOND_LOOK_SECONDS * 2) > SECOND_LOOK_SECONDS * 1.9


def test_a_wake_during_an_evaluation_is_not_lost() -> None:
    woken = threading.Event()
    woken.set()
    assert waited(Pause(threading.Event(), woken), 60) < 30


def test_a_shutdown_ends_the_wait() -> None:
    shutdown = threading.Event()
    threading.Timer(0.1, shutdown.set).start()
    began = time.monotonic()
    assert Pause(shutdown, threading.Event()).wait(60)
    assert time.monotonic() - began < 30
    assert SHUTDOWN_SECONDS < 1


def test_dagsters_loop_asks_nothing_of_the_event_but_to_wait() -> None:
    loop = inspect.getsource(sensor.execute_sensor_iteration_loop)
    uses = re.findall(r"shutdown_event\b.*", loop)
    assert uses == ["shutdown_event: threading.Event,", "shutdown_event.wait(sleep_time)"]
    assert "shutdown_event," in inspect.getsource(SensorDaemon.core_loop)
    assert list(inspect.signature(SensorDaemon.core_loop).parameters) == list(
        inspect.signature(WakingSensorDaemon.core_loop).parameters
    )


def test_dagsters_own_loop_comes_round_when_it_is_woken(monkeypatch) -> None:
    rounds: list[float] = []

    def evaluate(*_: object, **__: object):
        rounds.append(time.monotonic())
        yield

    monkeypatch.setattr(sensor, "execute_sensor_iteration", evaluate)
    woken, shutdown = threading.Event(), threading.Event()
    loop = sensor.execute_sensor_iteration_loop(None, logging.getLogger(), Pause(shutdown, woken))  # type: ignore[arg-type]
    woken.set()
    while len(rounds) < 2:
        next(loop)
    assert rounds[1] - rounds[0] < sensor.MIN_INTERVAL_LOOP_TIME


def test_a_tick_in_flight_submits_its_runs_when_the_daemon_is_ended(monkeypatch) -> None:
    ticking, go = threading.Event(), threading.Event()
    submitted: list[int] = []

    def evaluate(*_: object, threadpool_executor, submit_threadpool_executor, **__: object):
        def tick() -> None:
            ticking.set()
            go.wait(60)
            submitted.extend(submit_threadpool_executor.map(abs, [-1, -2]))

        if not ticking.is_set():
            threadpool_executor.submit(tick)
        yield

    monkeypatch.setattr(sensor, "execute_sensor_iteration", evaluate)
    shutdown, woken = threading.Event(), threading.Event()
    with WakingSensorDaemon(
        {"use_threads": True, "num_workers": 1, "num_submit_workers": 1}, woken
    ) as daemon:
        loop = daemon.core_loop(None, shutdown)  # type: ignore[arg-type]
        while not ticking.is_set():
            next(loop)
        shutdown.set()
        threading.Timer(0.3, go.set).start()
        loop.close()
        assert submitted == [1, 2]


def test_a_loop_that_is_begun_again_after_an_error_goes_on_evaluating(monkeypatch) -> None:
    def evaluate(*_: object, threadpool_executor, **__: object):
        yield threadpool_executor.submit(int).result()

    monkeypatch.setattr(sensor, "execute_sensor_iteration", evaluate)
    with WakingSensorDaemon({"use_threads": True, "num_workers": 1}, threading.Event()) as daemon:
        for _ in range(2):
            loop = daemon.core_loop(None, threading.Event())  # type: ignore[arg-type]
            next(loop)
            assert next(loop) == 0
            loop.close()
