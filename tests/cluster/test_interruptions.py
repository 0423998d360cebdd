"""What a cluster does to runs: its API goes away, nodes are drained, pods are deleted, the daemon dies."""

from __future__ import annotations

import json
import time

from installed import Installed
from waiting import until

AWAY = 60


def waits(installed: Installed, seconds: float) -> str:
    """A run that waits for so long, and has begun to; its id."""
    run_id = installed.launch_job(
        "launched",
        "waiting",
        ops={"wait": {"config": {"seconds": seconds}}},
        tags={"slipway/profile": "tiny"},
    )
    installed.says(run_id, "holding on", 90)
    return run_id


def test_an_api_server_that_is_away_for_a_minute_fails_no_run(installed: Installed) -> None:
    long, short = waits(installed, 600), waits(installed, 20)
    servers = installed.servers()
    installed.kubectl("scale", "deployment/api-proxy", "--replicas=0")
    until(lambda: not installed.list("pods", "app=api-proxy"), 30, "the daemon's way is still open")
    began = time.monotonic()
    try:
        assert installed.finished(short)["status"] == "SUCCESS"
        while time.monotonic() < began + AWAY:
            assert installed.run(long)["status"] == "STARTED", installed.messages(long)
    finally:
        installed.kubectl("scale", "deployment/api-proxy", "--replicas=1")
    until(lambda: installed.run_is_gone(short), 90, "the finished run's Job is still there")
    assert installed.run(long)["status"] == "STARTED", installed.messages(long)
    assert installed.run(short)["status"] == "SUCCESS"
    assert installed.servers() == servers
    installed.terminate(long)
    assert installed.finished(long, 60)["status"] == "CANCELED"


def test_a_drained_run_fails_clearly_keeps_its_log_and_is_retried_where_it_asks(
    installed: Installed,
) -> None:
    run_id = installed.launch("ecommerce", "talking", {"dagster/max_retries": "1"})
    pod = installed.run_pod(run_id)["metadata"]["name"]
    [log_key] = until(lambda: installed.log_keys(run_id), 60, "no step has begun")
    until(lambda: "it is" in (installed.log(log_key)["stdout"] or ""), 30, "nothing was logged")
    # what a drain of its node does to it
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": installed.namespace},
    }
    path = f"/api/v1/namespaces/{installed.namespace}/pods/{pod}/eviction"
    installed.kubectl("create", "--raw", path, "--filename", "-", text=json.dumps(eviction))
    assert installed.finished(run_id, 90)["status"] == "FAILURE"
    failure = installed.failure(run_id)
    assert "interrupted" in failure or "deleted" in failure, failure
    assert installed.log(log_key)["stdout"].endswith("\nand that was all\n")
    until(lambda: installed.run_is_gone(run_id), 60, "its Job is still there")
    retry = installed.retry_of(run_id, 90)
    until(lambda: installed.run(retry)["status"] == "STARTED", 90, "the retry has not begun")
    installed.terminate(retry)
    assert installed.finished(retry, 120)["status"] == "CANCELED"


def test_a_pod_that_is_gone_without_a_word_fails_its_run(installed: Installed) -> None:
    run_id = waits(installed, 600)
    pod = installed.run_pod(run_id)["metadata"]["name"]
    installed.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    assert installed.finished(run_id, 90)["status"] == "FAILURE"
    until(lambda: installed.run_is_gone(run_id), 60, "its Job is still there")


def test_a_daemon_that_is_killed_meanwhile_cleans_up_when_it_is_back(installed: Installed) -> None:
    lasting, ending = waits(installed, 600), waits(installed, 15)
    daemon = installed.pod("daemon")["metadata"]["name"]
    installed.kubectl("delete", "pod", daemon, "--grace-period=0", "--force")
    assert installed.finished(ending)["status"] == "SUCCESS"
    until(lambda: installed.run_is_gone(ending), 120, "the Job of the run that ended is still there")
    assert installed.run(lasting)["status"] == "STARTED", installed.messages(lasting)
    installed.terminate(lasting)
    assert installed.finished(lasting, 90)["status"] == "CANCELED"
    until(lambda: installed.run_is_gone(lasting), 60, "the Job of the terminated run is still there")


def test_a_pool_holds_across_pods_and_is_freed_when_a_pod_is_deleted(installed: Installed) -> None:
    first = installed.launch_job("launched", "counting", ops={"count": {"config": {"seconds": 600}}})
    installed.says(first, "at the counter", 90)
    second = installed.launch_job("launched", "counting")
    # it waits in the queue or in its pod, whichever the pool's limit stops it in
    until(lambda: installed.run(second)["status"] in ("QUEUED", "STARTED"), 60, "the second run is nowhere")
    assert not [message for message in installed.messages(second) if "at the counter" in message]
    for pod in installed.run_pods(first):
        installed.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    assert installed.finished(first, 90)["status"] == "FAILURE"
    assert installed.finished(second, 120)["status"] == "SUCCESS", installed.failure(second)
    assert installed.run(second)["startTime"] or installed.messages(second)
