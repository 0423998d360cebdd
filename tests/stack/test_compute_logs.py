"""Compute logs of real run containers, as the UI shows them: what is there when a run ends, is cancelled or is killed."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from composed import UPLOAD_INTERVAL, Stack
from waiting import until

BUCKET = "dagster-compute-logs"


def links(stack: Stack, log_key: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = stack.graphql(
        "query($key: [String!]!) { capturedLogsMetadata(logKey: $key) { stdoutLocation stdoutDownloadUrl } }",
        key=log_key,
    )["capturedLogsMetadata"]
    return found


def talks(stack: Stack) -> tuple[str, list[str]]:
    """A run whose step prints without an end, of which the UI shows something by now; its id and log key."""
    run_id = stack.launch("ecommerce", "talking")
    [log_key] = until(lambda: stack.log_keys(run_id), 90, "no step has begun")
    until(lambda: "it is" in (stack.log(log_key)["stdout"] or ""), 30, "the log of a running step is empty")
    return run_id, log_key


def last_time(stdout: str) -> float:
    """When the last whole line was printed."""
    return float([line for line in stdout.split("\n")[:-1] if line.startswith("it is")][-1].split()[-1])


def objects(stack: Stack, run_id: str) -> list[str]:
    found = stack.s3().list_objects_v2(Bucket=BUCKET, Prefix=f"compute-logs/{run_id}/").get("Contents", [])
    return sorted(item["Key"].rpartition("/")[2] for item in found)


def test_each_attempt_of_a_retried_step_shows_its_own_log(stack: Stack) -> None:
    run_id = stack.launch("veteran", "stumbling")
    assert stack.finished(run_id)["status"] == "SUCCESS", stack.failure(run_id)
    logs = [stack.log(log_key) for log_key in stack.log_keys(run_id)]
    assert [log["stdout"] for log in logs] == [f"this is attempt {number}\n" for number in range(3)]
    assert all(f"attempt {number} complains\n" in log["stderr"] for number, log in enumerate(logs))


def test_a_link_works_from_outside_of_the_network(stack: Stack) -> None:
    run_id = stack.launch("ecommerce", "brief")
    assert stack.finished(run_id)["status"] == "SUCCESS", stack.failure(run_id)
    [log_key] = stack.log_keys(run_id)
    found = links(stack, log_key)
    assert found["stdoutLocation"] == f"s3://{BUCKET}/compute-logs/{'/'.join(log_key)}.out"
    assert str(found["stdoutDownloadUrl"]).startswith(f"http://127.0.0.1:{stack.s3_port}/{BUCKET}/")
    with urllib.request.urlopen(str(found["stdoutDownloadUrl"]), timeout=10) as answer:
        assert answer.read() == b"in brief\n"


def test_a_run_that_is_cancelled_in_the_ui_leaves_all_of_its_log(stack: Stack) -> None:
    run_id, log_key = talks(stack)
    stack.terminate(run_id)
    assert stack.finished(run_id)["status"] == "CANCELED"
    assert stack.log(log_key)["stdout"].endswith("\nand that was all\n")
    assert objects(stack, run_id) == [f"{log_key[-1]}.err", f"{log_key[-1]}.out"]


def test_a_killed_container_leaves_all_but_the_last_interval(stack: Stack) -> None:
    run_id, log_key = talks(stack)
    begun = last_time(stack.log(log_key)["stdout"])
    # Past the first uploads, which come faster.
    until(lambda: last_time(stack.log(log_key)["stdout"]) > begun + 2 * UPLOAD_INTERVAL, 60, "the log stands")
    container = stack.engine.containers.get(f"slipway-run-{run_id}")
    container.kill(signal="SIGKILL")
    killed = time.time()
    assert stack.finished(run_id)["status"] == "FAILURE"
    # Half a second for the upload itself, as often as one may have to wait for a core.
    assert last_time(stack.log(log_key)["stdout"]) > killed - UPLOAD_INTERVAL - 1.5
    assert f"{log_key[-1]}.out.partial" in objects(stack, run_id)
    with urllib.request.urlopen(str(links(stack, log_key)["stdoutDownloadUrl"]), timeout=10) as answer:
        assert answer.read().decode() == stack.log(log_key)["stdout"]


def test_a_scratch_that_is_too_small_is_named_where_the_step_failed(stack: Stack) -> None:
    run_id = stack.launch("ecommerce", "overflowing")
    assert stack.finished(run_id)["status"] == "FAILURE"
    said = stack.graphql(
        """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
           ... on ExecutionStepFailureEvent { error { message causes { message } } } } } } }""",
        run=run_id,
    )["logsForRun"]["events"]
    [error] = [event["error"] for event in said if event]
    shown = "".join([error["message"], *(cause["message"] for cause in error["causes"])])
    assert "max_temp_directory_size" in shown
    assert "The run's scratch is full: profile 'narrow' lets DuckDB spill 64MiB (scratch 64Mi)" in shown


def test_the_services_keep_no_copy_of_a_log(stack: Stack) -> None:
    for service in ("webserver", "daemon", "code-ecommerce"):
        _, output = stack.execute(service, "find", "/tmp", "-name", "*.out", "-o", "-name", "*.err")
        assert output == "", service


def test_the_bucket_deletes_logs_and_nothing_else(stack: Stack) -> None:
    [rule] = stack.s3().get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert (rule["Status"], rule["Filter"], rule["Expiration"]) == (
        "Enabled",
        {"Prefix": "compute-logs/"},
        {"Days": 30},
    )


@pytest.mark.disruptive
def test_a_black_hole_in_place_of_s3_delays_a_run_by_ten_seconds_at_most(stack: Stack) -> None:
    """A frozen S3: the kernel accepts its connections, and nobody answers."""
    with frozen(stack, "localstack"):
        run_id = stack.launch("ecommerce", "brief")
        assert stack.finished(run_id)["status"] == "SUCCESS", stack.failure(run_id)
    events = stack.graphql(
        """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
           ... on MessageEvent { timestamp eventType message } } } } }""",
        run=run_id,
    )["logsForRun"]["events"]
    at = {event["eventType"]: float(event["timestamp"]) / 1000 for event in events}
    waited = at["RUN_SUCCESS"] - at["STEP_SUCCESS"]
    print(f"waited {waited:.1f} s")
    assert 2 < waited < 10
    assert any("compute log capture" in event["message"] for event in events)


@contextmanager
def frozen(stack: Stack, service: str) -> Iterator[None]:
    container = stack.services()[service]
    container.pause()
    try:
        yield
    finally:
        container.unpause()
