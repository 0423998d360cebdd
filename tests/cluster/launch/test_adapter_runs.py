"""Runs as pods: what they get, what they may not do, and what their own tags change."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from dagster import DagsterRunStatus

from launching import Launching
from pods import Json, Namespace
from slipway.launch import sweep
from waiting import until

WAITING = {"wait": {"config": {"seconds": 300}}}
K8S = "dagster-k8s/config"


@pytest.fixture(autouse=True)
def _swept(launcher: Launching) -> Iterator[None]:
    yield
    sweep(launcher.instance)


def cancel(launcher: Launching, run_id: str) -> None:
    """As the webserver and then the daemon do it."""
    launcher.instance.run_launcher.terminate(run_id)
    launcher.swept(lambda: launcher.status(run_id) is DagsterRunStatus.CANCELED, 60)


def test_a_run_is_a_pod_with_its_profiles_limits(launcher: Launching, namespace: Namespace):
    run_id = launcher.run("waiting", config=WAITING)
    launcher.says(run_id, "holding on")
    pod, job = namespace.pod(run_id), namespace.job(run_id)
    assert job is not None
    (container,) = pod["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
        "limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "2176Mi"},
    }
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert volumes["scratch"]["emptyDir"] == {"sizeLimit": "2Gi"}
    assert volumes["duckdb"]["persistentVolumeClaim"] == {"claimName": "lab-slipway-duckdb-launched"}
    assert set(volumes) == {"scratch", "duckdb"}
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names))
    text = json.dumps(pod)
    assert "s3cret" not in text
    assert "postgresql://" not in text
    (owner,) = job["metadata"]["ownerReferences"]
    assert owner["name"] == "lab-slipway-platform"
    assert pod["metadata"]["labels"]["helm.sh/chart"] == "slipway-0.1.0"
    cancel(launcher, run_id)
    assert "let go" in launcher.messages(run_id)
    launcher.swept(lambda: namespace.is_clear(run_id), 60)


def test_inside_it_sees_its_own_limits_and_values_and_no_others(launcher: Launching, namespace: Namespace):
    run_id = launcher.run("surroundings_job")
    assert launcher.finished(run_id) is DagsterRunStatus.SUCCESS, launcher.story(run_id)
    found = launcher.materialization("surroundings")
    assert json.loads(found["duckdb"]) == {
        "memory_limit": "512.0 MiB",
        "threads": 1,
        "temp_directory": "/tmp/duckdb",
        "max_temp_directory_size": "2.0 GiB",
        "preserve_insertion_order": False,
    }
    assert found["identity"] == "10001:10001"
    assert (found["location_env"], found["location_secret"]) == ("plain", "s3cret")
    assert found["foreign"] == ""
    assert found["dagster"].startswith("1.12.")
    env = json.loads(found["env"])
    assert env["SLIPWAY_RUNTIME"] == "kubernetes"
    inside = json.loads(env["SLIPWAY_PLATFORM_JSON"])
    assert not {"kubernetes", "concurrency"} & set(inside)
    assert "SLIPWAY_CONFIG_MAP" not in env
    launcher.swept(lambda: namespace.is_clear(run_id), 60)


def test_the_tag_of_dagster_k8s_is_merged_and_its_resources_beat_the_profile(
    launcher: Launching, namespace: Namespace
):
    tag = {
        "container_config": {
            "resources": {"limits": {"memory": "1536Mi", "cpu": "1500m"}},
            "env": [{"name": "LOCATION_VALUE", "value": "from the tag"}],
        },
        "pod_template_spec_metadata": {"annotations": {"example.com/asked": "yes"}},
        "pod_spec_config": {"termination_grace_period_seconds": 40},
    }
    run_id = launcher.run("surroundings_job", tags={K8S: json.dumps(tag)})
    pod = until(lambda: next(iter(namespace.pods(run_id)), None), 30)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "1536Mi"
    assert pod["metadata"]["annotations"]["example.com/asked"] == "yes"
    assert pod["spec"]["terminationGracePeriodSeconds"] == 40
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert launcher.finished(run_id) is DagsterRunStatus.SUCCESS, launcher.story(run_id)
    found = launcher.materialization("surroundings")
    settings = json.loads(found["duckdb"])
    assert settings["memory_limit"] == "844.0 MiB"
    assert found["location_env"] == "from the tag"
    assert launcher.tags(run_id)["slipway/memory"] == "1536Mi"
    launcher.says(run_id, "sets limits.memory 1536Mi, in place of profile 'small'")
    launcher.swept(lambda: namespace.is_clear(run_id), 60)


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("{", "Expecting property name"),
        ('{"container_confg": {}}', "container_confg"),
        ('{"container_config": {"resources": {"limits": {"memory": "lots"}}}}', "limits.memory: "),
        ('{"pod_spec_config": {"tolerations": {"key": "x"}}}', "tolerations"),
        ('{"job_spec_config": {"backoff_limit": 3}}', "job_spec_config.backoff_limit is decided by Slipway"),
    ],
)
def test_a_tag_that_cannot_be_fails_the_run_with_a_sentence(launcher: Launching, tag: str, says: str):
    run_id = launcher.run("eating", tags={K8S: tag})
    assert launcher.status(run_id) is DagsterRunStatus.FAILURE
    assert launcher.failure(run_id).startswith("The run was not launched. run tag dagster-k8s/config: ")
    assert says in launcher.failure(run_id)
    assert "Traceback" not in launcher.story(run_id)


def test_an_upgraded_profile_counts_at_the_next_launch(
    launcher: Launching, namespace: Namespace, platform: Json
):
    def upgrade(memory: str) -> None:
        small = {"requests": {"cpu": "250m"}, "limits": {"cpu": "1", "memory": memory}}
        text = json.dumps({**platform, "infrastructure": {"resource_profiles": {"small": small}}})
        namespace.kubectl(
            "patch", "configmap", "lab-slipway-platform", "-p", json.dumps({"data": {"platform.yaml": text}})
        )

    before = namespace.get("configmap", "lab-slipway-platform")
    assert before is not None
    try:
        upgrade("3Gi")
        run_id = launcher.run("waiting", config=WAITING)
        assert launcher.tags(run_id)["slipway/memory"] == "3Gi"
        upgrade("nonsense")
        refused = launcher.run("eating")
        assert "platform.yaml in ConfigMap lab-slipway-platform" in launcher.failure(refused)
    finally:
        namespace.kubectl(
            "patch", "configmap", "lab-slipway-platform", "-p", json.dumps({"data": before["data"]})
        )
    cancel(launcher, run_id)
    launcher.swept(lambda: namespace.is_clear(run_id), 60)


@pytest.mark.parametrize("job", ["eating", "eating_in_a_step_process"])
def test_a_run_out_of_memory_says_so_and_is_retried_on_the_larger_profile(
    launcher: Launching, namespace: Namespace, job: str
):
    run_id = launcher.run(
        job, config={"eat": {"config": {"mebibytes": 560}}}, tags={"slipway/profile": "slim"}
    )
    launcher.swept(lambda: launcher.status(run_id) is DagsterRunStatus.FAILURE, 90)
    assert launcher.failure(run_id).startswith("Out of memory: the kernel killed ")
    assert "640Mi of profile 'slim'" in launcher.failure(run_id)
    assert launcher.tags(run_id)["slipway/out_of_memory"] == "retry pending"
    retry = launcher.retried(run_id)
    assert launcher.finished(retry) is DagsterRunStatus.SUCCESS, launcher.story(retry)
    assert launcher.tags(retry)["slipway/profile"] == "small"
    launcher.swept(lambda: namespace.is_clear(run_id) and namespace.is_clear(retry), 60)
