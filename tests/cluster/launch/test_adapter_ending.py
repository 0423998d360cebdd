"""What a cluster does to pods: evicted, deleted with and without grace, over their scratch, killed. Each is told."""

from __future__ import annotations

import json

import pytest
from dagster import DagsterRunStatus

from launching import Launching
from pods import Namespace
from slipway.launch import sweep
from slipway.launch.adapter import Phase

K8S = "dagster-k8s/config"
WAITING = {"wait": {"config": {"seconds": 300}}}


@pytest.fixture
def holding(launcher: Launching) -> str:
    """A run that waits and has begun to."""
    run_id = launcher.run("waiting", config=WAITING, tags={"slipway/profile": "slim"})
    launcher.says(run_id, "holding on")
    return run_id


def failed(launcher: Launching, namespace: Namespace, run_id: str, seconds: float = 90) -> str:
    """All that was said of a run that failed, when nothing of it is left."""
    launcher.swept(lambda: launcher.status(run_id) is DagsterRunStatus.FAILURE, seconds)
    launcher.swept(lambda: namespace.is_clear(run_id), 60)
    return launcher.story(run_id)


def test_a_drained_run_lets_go_in_order_and_says_who_ended_it(
    launcher: Launching, namespace: Namespace, holding: str
):
    pod = namespace.pod(holding)["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace.name},
    }
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/eviction"
    namespace.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
    sweep(launcher.instance)
    assert launcher.instance.run_launcher._adapter.state(holding).phase in (Phase.RUNNING, Phase.EXITED)
    told = failed(launcher, namespace, holding)
    print(told)
    assert "let go" in told
    assert "evicted, as when its node is drained" in told


def test_a_pod_that_is_deleted_at_once_fails_its_run(launcher: Launching, namespace: Namespace, holding: str):
    pod = namespace.pod(holding)["metadata"]["name"]
    namespace.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    told = failed(launcher, namespace, holding)
    print(told)
    assert "deleted" in told


def test_a_job_that_is_deleted_fails_its_run(launcher: Launching, namespace: Namespace, holding: str):
    namespace.delete("job", f"slipway-run-{holding}")
    launcher.monitor()
    told = failed(launcher, namespace, holding)
    print(told)
    assert "removed from outside" in told or "interrupted" in told


def test_a_run_over_its_scratch_is_evicted_and_says_so(launcher: Launching, namespace: Namespace):
    tag = {"container_config": {"resources": {"limits": {"ephemeral-storage": "100Mi"}}}}
    run_id = launcher.run(
        "filling",
        config={"fill": {"config": {"mebibytes": 200, "seconds": 300}}},
        tags={"slipway/profile": "slim", K8S: json.dumps(tag)},
    )
    assert launcher.tags(run_id)["slipway/scratch"] == "100Mi"
    told = failed(launcher, namespace, run_id, 180)
    print(told)
    assert "Kubernetes evicted the run's pod from node " in told
    assert "100Mi" in told


def test_a_worker_that_vanishes_leaves_its_last_lines(launcher: Launching, namespace: Namespace):
    run_id = launcher.run("vanishing", tags={"slipway/profile": "slim"})
    told = failed(launcher, namespace, run_id)
    assert "The run worker ended before the run did: exit code 3." in told
    assert "about to vanish" in told


def test_a_worker_that_outlives_its_canceled_run_is_ended(
    launcher: Launching, namespace: Namespace, holding: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("slipway.launch.sweeping.LINGER_SECONDS", 0)
    run = launcher.instance.get_run_by_id(holding)
    assert run is not None
    launcher.instance.report_run_canceled(run)
    launcher.swept(lambda: namespace.is_clear(holding), 60)


def test_a_daemon_that_is_new_settles_what_an_earlier_one_launched(
    launcher: Launching, namespace: Namespace, holding: str
):
    """A launcher that remembers nothing."""
    launcher.forget()
    launcher.instance.run_launcher.terminate(holding)
    launcher.forget()
    launcher.swept(lambda: launcher.status(holding) is DagsterRunStatus.CANCELED, 60)
    launcher.swept(lambda: namespace.is_clear(holding), 60)
