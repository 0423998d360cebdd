"""Reading, listing, following and deleting logs, and the logs of sensors and schedules, on a real S3."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.definitions.instigation_logger import InstigationLogger, get_instigation_log_records
from dagster._core.storage.compute_log_manager import CapturedLogData, ComputeIOType

import platform_home
from captured_runs import Forbidding, Platform, text
from slipway.aws import s3_client
from slipway.logs import files, ticks
from slipway.logs.manager import SlipwayComputeLogManager
from waiting import until

OUT, ERR = ComputeIOType.STDOUT, ComputeIOType.STDERR
KEY = ["a-run", "compute_logs", "abcdefgh"]
TICK = ["shop", "arrivals", "17"]


def capture(manager: SlipwayComputeLogManager, out: bytes, err: bytes, key: list[str] = KEY) -> None:
    """A capture into which somebody else writes, so that pytest's own capture is not in the way."""
    with manager.capture_logs(key):
        for io_type, data in ((OUT, out), (ERR, err)):
            with manager._files.path(key, io_type).open("ab") as file:
                file.write(data)


def log_tick(instance: DagsterInstance, *messages: str) -> None:
    with InstigationLogger(TICK, instance, "shop", "arrivals") as logger:
        for message in messages:
            logger.info(message)


def messages(instance: DagsterInstance) -> list[str]:
    return [record["msg"] for record in get_instigation_log_records(instance, TICK)]


def test_4_an_empty_stderr_is_complete(platform: Platform) -> None:
    capture(platform.manager(), b"only stdout\n", b"")
    elsewhere = platform.manager()
    assert elsewhere.is_capture_complete(KEY)
    assert elsewhere.get_log_data(KEY).stdout == b"only stdout\n"
    assert elsewhere.get_log_data(KEY).stderr == b""
    assert sorted(platform.objects()) == [f"some/logs/{'/'.join(KEY)}.{end}" for end in ("err", "out")]


def test_5_a_listing_takes_unfinished_logs(platform: Platform) -> None:
    writer = platform.manager()
    prefix = ["backfill", "abc"]
    for name in ("1", "2"):
        with writer.open_log_stream([*prefix, name], ERR) as stream:
            assert stream is not None
            stream.write(f"line {name}\n")
    client = s3_client(platform.settings)
    for unfinished in ("2.err.partial", "3.err.partial", "3.err.partial.1", "4.out", "deeper/5.err"):
        client.put_object(
            Bucket=platform.bucket, Key=f"some/logs/backfill/abc/{unfinished}", Body=b"line 3\n"
        )
    reader = platform.manager()
    assert reader.get_log_keys_for_log_key_prefix(prefix, ERR) == [[*prefix, name] for name in "123"]
    lines, cursor = reader.read_log_lines_for_log_key_prefix(prefix, None, ERR)
    assert [line for line in lines if line] == ["line 1", "line 2", "line 3"]
    assert cursor is not None
    assert not cursor.has_more_now
    assert reader.get_log_keys_for_log_key_prefix(["nothing"], ERR) == []


def test_9_a_missing_permission_is_shown_and_not_an_empty_log(
    platform: Platform, forbidding: Forbidding
) -> None:
    manager = platform.manager({**platform.env, "SLIPWAY_S3_ENDPOINT": forbidding.url})
    data = manager.get_log_data(KEY)
    assert data.stderr is not None
    shown = data.stderr.decode()
    assert shown.startswith(f"This log is not shown: cannot read s3://{platform.bucket}/some/logs/a-run/")
    assert "AccessDenied" in shown
    assert "s3:GetObject" in shown
    # Whoever follows the log is where they were, and gets it once it can be read.
    assert data.cursor == "0:0"
    assert not manager.is_capture_complete(KEY)
    assert manager.get_log_metadata(KEY).stderr_download_url is None


def test_9_an_s3_that_is_away_is_shown(platform: Platform, closed_port: str) -> None:
    manager = platform.manager({**platform.env, "SLIPWAY_S3_ENDPOINT": closed_port})
    assert f'Could not connect to the endpoint URL: "{closed_port}' in text(manager, KEY, ERR)


def test_10_reading_from_a_black_hole_ends(platform: Platform, black_hole: str) -> None:
    manager = platform.manager({**platform.env, "SLIPWAY_S3_ENDPOINT": black_hole})
    started = time.monotonic()
    assert "Read timeout" in text(manager, KEY, ERR)
    assert time.monotonic() - started < 20


def test_a_log_that_nobody_wrote_is_no_error(platform: Platform) -> None:
    manager = platform.manager()
    assert manager.get_log_data(KEY) == CapturedLogData(KEY, None, None, "0:0")
    assert not manager.is_capture_complete(KEY)


def test_log_keys_of_requests_stay_below_the_prefix(platform: Platform) -> None:
    manager = platform.manager()
    for key in (["..", "..", "etc"], ["a/b", "c"], ["", "x"]):
        with pytest.raises(ValueError, match="not a log key"):
            manager.get_log_data(key)


def test_a_follower_gets_all_of_a_log_and_its_end(platform: Platform) -> None:
    reader = platform.manager()
    seen: list[CapturedLogData] = []
    subscription = reader.subscribe(KEY)(seen.append)
    writer = platform.manager({**platform.env, "SLIPWAY_STATE": str(platform.folder / "writer")})
    writer._files = files.LocalLogs(platform.folder / "writer")

    def received() -> bytes:
        return b"".join(data.stdout or b"" for data in seen)

    with writer.capture_logs(KEY):
        with writer._files.path(KEY, OUT).open("ab") as file:
            file.write(b"first\n")
        until(lambda: received() == b"first\n", 60, "the beginning of the log")
        assert not subscription.is_complete
        with writer._files.path(KEY, OUT).open("ab") as file:
            file.write(b"last\n")
    until(lambda: subscription.is_complete, 60, "the end of the log")
    assert received() == b"first\nlast\n"
    subscription.dispose()
    reader.dispose()


def test_one_unreadable_log_does_not_end_the_news_of_others(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = platform.manager()
    capture(platform.manager(), b"there\n", b"")
    seen: list[CapturedLogData] = []

    def broken(data: CapturedLogData) -> None:
        raise RuntimeError("the browser is gone")

    with pytest.raises(RuntimeError):
        reader.subscribe(["b-run", "compute_logs", "x"])(broken)
    subscription = reader.subscribe(KEY)(seen.append)
    until(lambda: subscription not in reader._subscriptions._open, 60, "the second log is served to its end")
    assert seen[0].stdout == b"there\n"
    reader.dispose()


def test_a_deleted_log_is_gone(platform: Platform) -> None:
    manager = platform.manager()
    other = ["a-run", "compute_logs", "abcdefghi"]
    capture(manager, b"x", b"x")
    capture(manager, b"x", b"x", other)
    manager.delete_logs(log_key=KEY)
    assert sorted(platform.objects()) == [f"some/logs/{'/'.join(other)}.{end}" for end in ("err", "out")]
    manager.delete_logs(prefix=["a-run"])
    assert platform.objects() == {}


def test_a_file_that_s3_never_took_is_read_and_one_day_removed(platform: Platform, closed_port: str) -> None:
    manager = platform.manager({**platform.env, "SLIPWAY_S3_ENDPOINT": closed_port})
    with pytest.raises(Exception, match="Could not connect"):
        capture(manager, b"kept\n", b"")
    assert text(manager, KEY, OUT) == "kept\n"
    path = manager._files.path(KEY, OUT)
    old = time.time() - files.LEFTOVER_SECONDS - 60
    os.utime(path, (old, old))
    manager._files.remove_leftovers()
    assert not path.exists()
    assert manager._files.path(KEY, ERR).exists()


# Sensors and schedules


def test_what_a_sensor_logs_shows_in_another_container(platform: Platform, tmp_path: Path) -> None:
    with platform.instance() as instance:
        log_tick(instance, "looked", "found one")
        assert messages(instance) == ["shop - arrivals - looked", "shop - arrivals - found one"]
    elsewhere = {**platform.env, "SLIPWAY_STATE": str(tmp_path / "elsewhere")}
    with platform_home.instance(elsewhere) as instance:
        assert messages(instance) == ["shop - arrivals - looked", "shop - arrivals - found one"]
    assert sorted(platform.objects()) == ["some/logs/shop/arrivals/17.err"]


def test_a_tick_that_is_tried_again_keeps_what_it_logged_before(platform: Platform) -> None:
    for attempt in ("one", "two"):
        with platform.instance() as instance:
            log_tick(instance, attempt)
    with platform.instance() as instance:
        assert messages(instance) == ["shop - arrivals - one", "shop - arrivals - two"]


def test_a_tick_that_logs_nothing_costs_nothing(platform: Platform, forbidding: Forbidding) -> None:
    platform.env["SLIPWAY_S3_ENDPOINT"] = forbidding.url
    with platform.instance() as instance:
        log_tick(instance)
    assert forbidding.authorizations == []


def test_a_black_hole_delays_one_tick_and_loses_none(
    platform: Platform, black_hole: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = platform.manager()
    bad = platform.manager({**platform.env, "SLIPWAY_S3_ENDPOINT": black_hole})
    tick_logs = ticks.TickLogs(bad._store)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            with tick_logs.stream(["shop", "arrivals", str(number)], ERR) as stream:
                stream.write(json.dumps({"msg": f"tick {number}"}))
    assert time.monotonic() - started < 10
    assert [record.message[:47] for record in caplog.records if record.name == ticks.__name__] == [
        "logs of sensors and schedules wait for S3: cann"
    ]
    tick_logs._store = good._store
    tick_logs._rest_until = 0
    with tick_logs.stream(["shop", "arrivals", "5"], ERR) as stream:
        stream.write("{}")
    assert len(platform.objects()) == 6


def test_a_ticks_log_that_cannot_be_read_says_so(platform: Platform, forbidding: Forbidding) -> None:
    platform.env["SLIPWAY_S3_ENDPOINT"] = forbidding.url
    with platform.instance() as instance:
        (record,) = get_instigation_log_records(instance, TICK)
    assert "AccessDenied" in record["msg"]
    assert record["levelno"] == logging.ERROR
    assert record["created"] > 0
