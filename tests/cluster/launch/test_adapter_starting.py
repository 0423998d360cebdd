"""Runs that cannot start: each says why, once, and is over after `defaults.start_timeout` without leaving a pod."""

from __future__ import annotations

import json
import time
from typing import Any

from dagster import DagsterEventType, DagsterRunStatus
from dagster._core.storage.dagster_run import RunsFilter

from launching import Launching
from pods import Namespace, door
from slipway.launch import requeue, sweep
from waiting import until

K8S = "dagster-k8s/config"
TINY = {"slipway/profile": "slim"}
WAITING = {"wait": {"config": {"seconds": 300}}}


def asking(**sections: Any) -> dict[str, str]:
    return {**TINY, K8S: json.dumps(sections)}


def secret(name: str, key: str) -> dict[str, str]:
    reference = {"secret_key_ref": {"name": name, "key": key}}
    return asking(container_config={"env": [{"name": "MISSING", "value_from": reference}]})


KINDS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "image": (
        asking(container_config={"image": "registry.invalid/none:1", "image_pull_policy": "IfNotPresent"}),
        ("Image 'registry.invalid/none:1' cannot be pulled: ",),
    ),
    "unschedulable": (
        {"slipway/profile": "impossible"},
        (
            "No node takes the run's pod: 0/",
            "Insufficient memory",
            "Profile 'impossible' requests CPU 1 and memory 4Ti",
        ),
    ),
    "selector": (
        asking(pod_spec_config={"node_selector": {"disk": "none"}}),
        ("No node takes the run's pod: ", "didn't match Pod's node affinity/selector"),
    ),
    "secret": (secret("no-such-secret", "key"), ('secret "no-such-secret" not found',)),
    "key": (secret("lab-environment", "no-such-key"), ("couldn't find key no-such-key in Secret",)),
    "pod security": (
        asking(pod_spec_config={"host_network": True}),
        ("Kubernetes refuses the run's pod: ", "violates PodSecurity", "host namespaces"),
    ),
    "account": (
        asking(pod_spec_config={"service_account_name": "nobody"}),
        ("Kubernetes refuses the run's pod: ", 'serviceaccount "nobody" not found'),
    ),
}


def reasons(launcher: Launching, run_id: str) -> list[str]:
    return [
        message for message in launcher.messages(run_id) if message.startswith("The run cannot start yet. ")
    ]


def test_a_run_that_cannot_start_says_why_once_and_ends_after_its_time(
    launcher: Launching, namespace: Namespace
):
    launched = time.monotonic()
    runs = {kind: launcher.run("waiting", config=WAITING, tags=tags) for kind, (tags, _) in KINDS.items()}
    launcher.swept(
        lambda: all(reasons(launcher, run_id) for run_id in runs.values()),
        60,
        lambda: "\n".join(
            f"{kind}: {launcher.story(run_id)}"
            for kind, run_id in runs.items()
            if not reasons(launcher, run_id)
        ),
    )
    assert time.monotonic() - launched < 60
    launcher.swept(
        lambda: all(launcher.status(run_id) is DagsterRunStatus.FAILURE for run_id in runs.values()), 90
    )
    for kind, run_id in runs.items():
        failure = launcher.failure(run_id)
        assert failure.startswith("The run did not start within 30 s of its launch. "), kind
        # On a node that is full it may first have said so.
        (said,) = (message for message in reasons(launcher, run_id) if KINDS[kind][1][0] in message)
        for text in KINDS[kind][1]:
            assert text in said, kind
            assert text in failure, kind
    launcher.swept(lambda: all(namespace.is_clear(run_id) for run_id in runs.values()), 60)


def test_a_pod_over_the_quota_says_so_and_starts_when_there_is_room(
    launcher: Launching, namespace: Namespace
):
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "small"},
            "spec": {"hard": {"requests.cpu": "10m", "limits.cpu": "10m"}},
        }
    )
    try:
        until(lambda: (namespace.get("resourcequota", "small") or {}).get("status", {}).get("hard"), 30)
        run_id = launcher.run("eating", tags=TINY)
        launcher.swept(lambda: reasons(launcher, run_id), 30)
    finally:
        namespace.delete("resourcequota", "small")
    (said,) = reasons(launcher, run_id)
    assert "exceeded quota: small" in said
    assert "Profile 'slim' requests CPU 50m and memory 128Mi" in said
    # Kubernetes tries again by itself, ten seconds later.
    launcher.swept(lambda: launcher.status(run_id) is DagsterRunStatus.SUCCESS, 60)
    assert len(reasons(launcher, run_id)) == 1
    launcher.swept(lambda: namespace.is_clear(run_id), 60)


def test_a_job_that_can_never_be_fails_its_run_at_once(launcher: Launching, namespace: Namespace):
    namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none"},
            "spec": {"hard": {"count/jobs.batch": "0"}},
        }
    )
    try:
        until(lambda: (namespace.get("resourcequota", "none") or {}).get("status", {}).get("hard"), 30)
        run_id = launcher.run("eating", tags=TINY)
    finally:
        namespace.delete("resourcequota", "none")
    assert "Kubernetes refused: " in launcher.failure(run_id)
    assert "exceeded quota: none" in launcher.failure(run_id)
    clashing = launcher.run("eating", tags=asking(pod_spec_config={"volumes": [{"name": "scratch"}]}))
    assert "Duplicate value" in launcher.failure(clashing)


def test_a_run_is_canceled_before_it_has_started(launcher: Launching, namespace: Namespace):
    run_id = launcher.run("waiting", config=WAITING, tags={"slipway/profile": "impossible"})
    until(lambda: namespace.pods(run_id), 30)
    launcher.instance.run_launcher.terminate(run_id)
    assert launcher.status(run_id) is DagsterRunStatus.CANCELING
    launcher.swept(lambda: launcher.status(run_id) is DagsterRunStatus.CANCELED, 30)
    launcher.swept(lambda: namespace.is_clear(run_id), 30)


def test_after_a_restart_only_a_run_without_a_job_is_queued_again(launcher: Launching, namespace: Namespace):
    pending = launcher.run("waiting", config=WAITING, tags={"slipway/profile": "impossible"})
    lost = launcher.create("waiting", config=WAITING)
    launcher.starting(lost)
    assert requeue(launcher.instance) == [lost.run_id]
    assert launcher.status(lost.run_id) is DagsterRunStatus.QUEUED
    launcher.instance.run_launcher.terminate(pending)
    launcher.swept(lambda: launcher.status(pending) is DagsterRunStatus.CANCELED, 30)
    launcher.instance.report_run_canceled(lost)


def test_a_launch_waits_for_an_api_server_that_is_away(
    launcher: Launching, namespace: Namespace, monkeypatch
):
    with door() as (way, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        lasting = launcher.run("waiting", config=WAITING, tags=TINY)
        launcher.says(lasting, "holding on")
        ended = launcher.run("eating", tags=TINY)
        way.shut()
        launch = launcher.launch_aside("eating", tags=TINY)
        for _ in range(3):
            launcher.monitor()
            sweep(launcher.instance)
        assert launcher.finished(ended) is DagsterRunStatus.SUCCESS
        assert launcher.status(lasting) is DagsterRunStatus.STARTED
        assert launch.is_alive()
        assert launcher.status(launch.run_id) is DagsterRunStatus.STARTING
        way.open()
        launch.join(30)
        assert launcher.finished(launch.run_id) is DagsterRunStatus.SUCCESS, launcher.story(launch.run_id)
        launcher.swept(lambda: namespace.is_clear(ended) and namespace.is_clear(launch.run_id), 60)
        assert launcher.status(lasting) is DagsterRunStatus.STARTED

        way.shut()
        launch = launcher.launch_aside("eating", tags=TINY)
        until(lambda: launcher.status(launch.run_id) is DagsterRunStatus.STARTING, 10)
        launcher.instance.run_launcher.interrupt()
        launch.join(10)
        assert not launch.is_alive()
        assert launcher.status(launch.run_id) is DagsterRunStatus.STARTING
        way.open()
        assert requeue(launcher.instance) == [launch.run_id]
        launcher.instance.run_launcher.terminate(lasting)
        launcher.swept(lambda: launcher.status(lasting) is DagsterRunStatus.CANCELED, 60)


def test_jobs_of_runs_that_nobody_knows_any_more_are_removed(launcher: Launching, namespace: Namespace):
    ended, pending = (
        launcher.run("eating", tags=TINY),
        launcher.run("waiting", config=WAITING, tags={"slipway/profile": "impossible"}),
    )
    assert launcher.finished(ended) is DagsterRunStatus.SUCCESS
    for run_id in (ended, pending):
        launcher.instance.delete_run(run_id)
    launcher.swept(lambda: namespace.is_clear(ended) and namespace.is_clear(pending), 60)
    assert not launcher.instance.get_runs(RunsFilter(run_ids=[ended, pending]))
    assert DagsterEventType.RUN_FAILURE
