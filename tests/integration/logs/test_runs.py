"""Output of real runs in processes of their own, read as another container reads it."""

from __future__ import annotations

import signal
import time
import urllib.request
from pathlib import Path

from dagster import DagsterRunStatus
from dagster._core.storage.compute_log_manager import ComputeIOType

from captured_runs import Forbidding, Platform, Run, text
from slipway.logs import keys, patience
from waiting import until

OUT, ERR = ComputeIOType.STDOUT, ComputeIOType.STDERR


def only_capture(run: Run) -> list[str]:
    ((_, log_key),) = run.captures()
    return log_key


def status(platform: Platform) -> DagsterRunStatus:
    with platform.instance() as instance:
        (run,) = instance.get_runs()
        return run.status


def test_a_steps_output_is_in_s3_when_it_ends(platform: Platform) -> None:
    run = platform.run("talk")
    assert run.process.returncode == 0, run.output
    log_key = only_capture(run)
    manager = platform.manager()
    stdout, stderr = text(manager, log_key, OUT), text(manager, log_key, ERR)
    assert stdout == "from python\nfrom a child\n"
    assert "on stderr\n" in stderr
    assert "from the logger" in stderr
    assert manager.is_capture_complete(log_key)
    # Its own output has it too: that is what `docker logs` shows.
    assert "from a child" in run.output
    # Two finished logs, nothing unfinished, nothing left behind locally.
    base = f"some/logs/{'/'.join(log_key)}"
    assert sorted(platform.objects()) == [f"{base}.err", f"{base}.out"]
    assert not [path for path in (platform.folder / "state" / "compute-logs").rglob("*") if path.is_file()]


def test_each_step_has_its_own_log(platform: Platform) -> None:
    run = platform.run("chain")
    assert run.process.returncode == 0, run.output
    manager = platform.manager()
    logs = {steps[0]: text(manager, log_key, OUT) for steps, log_key in run.captures()}
    assert logs == {
        "speak": "from python\nfrom a child\n",
        "second": "heard 1\n",
        "third": "heard 2\n",
        "listen": "heard 3\n",
    }


def test_each_attempt_of_a_retried_step_has_its_own_log(platform: Platform) -> None:
    run = platform.run("stumbling")
    assert run.process.returncode == 0, run.output
    manager = platform.manager()
    attempts = [text(manager, log_key, OUT) for _, log_key in run.captures()]
    assert attempts == [f"this is attempt {number}\n" for number in range(3)]


# The ten faults of Dagster's own manager, one test each.


def test_1_a_cancelled_step_leaves_its_log(platform: Platform) -> None:
    run = platform.start("held")
    run.reached("go")
    run.process.send_signal(signal.SIGTERM)
    run.wait()
    assert status(platform) in {DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE}, run.output
    log_key = only_capture(run)
    assert text(platform.manager(), log_key, OUT) == "before\nwithout a newline"
    assert f"some/logs/{'/'.join(log_key)}.out" in platform.objects()


def test_1_a_killed_container_leaves_all_but_the_last_interval(platform: Platform) -> None:
    run = platform.start("held")
    run.reached("go")
    manager = platform.manager()
    log_key = only_capture(run)
    until(
        lambda: text(manager, log_key, OUT) == "before\nwithout a newline", 60, "the unfinished log is in S3"
    )
    run.kill()
    assert text(manager, log_key, OUT) == "before\nwithout a newline"
    assert manager.get_log_metadata(log_key).stdout_download_url is not None
    # The UI does not wait for the rest of a log whose run has ended.
    with platform.instance() as instance:
        seen = platform.manager()
        seen.register_instance(instance)
        assert not seen.is_capture_complete(log_key)
        instance.report_run_failed(run.record(instance))
        assert seen.is_capture_complete(log_key)


def test_2_a_long_log_gets_its_final_object(platform: Platform) -> None:
    run = platform.start("chattering", DAGSTER_TRUNCATE_COMPUTE_LOGS_UPLOAD_BYTES="1000")
    run.reached("go")
    manager = platform.manager()
    log_key = only_capture(run)
    size = 12 * 1024 * 1024
    until(
        lambda: len(text(manager, log_key, OUT)) == size, 60, "all segments of the unfinished log are in S3"
    )
    # A reader asks for pieces, across the segments' borders too.
    piece, after = manager.get_log_data_for_type(log_key, OUT, keys.SEGMENT - 10, 1024)
    assert piece is not None
    assert len(piece) == 1024
    assert after == keys.SEGMENT - 10 + 1024
    assert manager.get_log_data_for_type(log_key, OUT, size, 1024) == (b"", size)
    run.go("go")
    assert run.wait() == 0, run.output
    objects = platform.objects()
    assert [key for key in objects if ".partial" in key] == []
    final = objects[f"some/logs/{'/'.join(log_key)}.out"]
    assert len(final) == size
    assert final[keys.SEGMENT - 10 : keys.SEGMENT + 1014] == piece


def test_3_the_uploader_survives_failed_uploads(platform_without_bucket: Platform) -> None:
    platform = platform_without_bucket
    run = platform.start("held")
    run.reached("go")
    manager = platform.manager()
    log_key = only_capture(run)
    assert "NoSuchBucket" in text(manager, log_key, ERR)
    platform.create_bucket()
    until(
        lambda: text(manager, log_key, OUT) == "before\nwithout a newline",
        60,
        "the log follows once S3 takes it",
    )
    run.go("go")
    assert run.wait() == 0, run.output
    assert text(manager, log_key, OUT) == "before\nwithout a newlineafter\n"


def test_6_the_region_is_the_one_of_platform_yaml(platform: Platform, forbidding: Forbidding) -> None:
    file = platform.folder / "platform.yaml"
    file.write_text(
        f"{file.read_text()}"
        "storage:\n"
        f"  default: {{endpoint: '{forbidding.url}', region: eu-central-1, path_style: true,"
        " access_key_id: {env: KEY}, secret_access_key: {env: KEY}}\n"
    )
    run = platform.run("talk", KEY="a-key", AWS_DEFAULT_REGION="us-west-2")
    assert run.process.returncode == 0, run.output
    assert forbidding.authorizations
    assert all("/eu-central-1/s3/" in header for header in forbidding.authorizations)


def test_7_links_work_from_outside_the_network(platform: Platform) -> None:
    run = platform.run("talk")
    log_key = only_capture(run)
    inside = platform.env["SLIPWAY_S3_ENDPOINT"]
    outside = inside.replace("127.0.0.1", "localhost")
    manager = platform.manager({**platform.env, "SLIPWAY_S3_PUBLIC_ENDPOINT": outside})
    metadata = manager.get_log_metadata(log_key)
    assert metadata.stdout_location == f"s3://{platform.bucket}/some/logs/{'/'.join(log_key)}.out"
    assert metadata.stdout_download_url is not None
    assert metadata.stdout_download_url.startswith(f"{outside}/{platform.bucket}/")
    with urllib.request.urlopen(metadata.stdout_download_url) as answer:
        assert answer.read() == b"from python\nfrom a child\n"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_8_who_reads_keeps_no_copy(platform: Platform) -> None:
    run = platform.run("talk")
    manager = platform.manager()
    assert text(manager, only_capture(run), OUT)
    assert not (platform.folder / "elsewhere").exists()


def test_9_a_refusal_is_an_event_of_the_run_and_delays_nothing(
    platform: Platform, forbidding: Forbidding
) -> None:
    run = platform.run("talk", SLIPWAY_S3_ENDPOINT=forbidding.url)
    assert run.process.returncode == 0, run.output
    reasons = [event for event in run.events() if "ComputeLogNotStored" in event]
    assert len(reasons) == 1
    assert "AccessDenied" in reasons[0]
    assert "s3:PutObject" in reasons[0]
    assert _waited(platform) < 2


def test_10_a_black_hole_delays_a_run_by_ten_seconds_at_most(platform: Platform, black_hole: str) -> None:
    run = platform.run("chain", SLIPWAY_S3_ENDPOINT=black_hole)
    assert run.process.returncode == 0, run.output
    assert status(platform) is DagsterRunStatus.SUCCESS
    # The waits of the four steps overlap in part: their sum is no measure, but that any of them waits is.
    assert patience.ALLOWANCE_SECONDS <= _waited(platform) < 10
    assert run.seconds_after_last_step() < 10
    assert sum("ComputeLogNotStored" in event for event in run.events()) == 4


def test_a_dead_s3_fails_nothing(platform: Platform, closed_port: str) -> None:
    run = platform.run("chain", SLIPWAY_S3_ENDPOINT=closed_port)
    assert run.process.returncode == 0, run.output
    assert status(platform) is DagsterRunStatus.SUCCESS
    assert _waited(platform) < 10
    assert run.seconds_after_last_step() < 10


def test_a_step_runs_without_a_log_where_the_local_folder_cannot_be_written(platform: Platform) -> None:
    (platform.folder / "state").mkdir()
    (platform.folder / "state" / "compute-logs").write_text("a file, where a folder should be")
    run = platform.run("talk")
    assert run.process.returncode == 0, run.output
    assert any("Exception while setting up compute log capture" in event for event in run.events())


def test_without_s3_logs_stay_in_the_local_folder(platform: Platform, tmp_path: Path) -> None:
    local = tmp_path / "logs"
    (platform.folder / "platform.yaml").write_text(
        f"observability: {{compute_logs: {{enabled: false, local_dir: {local}}}}}\n"
    )
    run = platform.run("talk")
    assert run.process.returncode == 0, run.output
    with platform.instance() as instance:
        data = instance.compute_log_manager.get_log_data(only_capture(run))
    assert data.stdout == b"from python\nfrom a child\n"
    assert platform.objects() == {}
    assert list(local.rglob("*.out"))


def _waited(platform: Platform) -> float:
    """Seconds that a run's processes noted as waited in vain."""
    (file,) = (platform.folder / "state" / "compute-logs").glob("*/waited")
    return patience.spent_seconds(file.read_text().splitlines(), time.time())
