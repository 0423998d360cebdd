"""The Job of a run, whole; what platform.yaml and the run's own tag change of it; and what they may not."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from dagster_k8s.job import USER_DEFINED_K8S_JOB_CONFIG_SCHEMA

from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.launch import kubernetes_job, kubernetes_tag
from slipway.launch.adapter import SecretKey, WorkOrder
from slipway.launch.kubernetes_job import Release
from slipway.profiles import resolve

RUN = "0f6a2f0c-7a10-4c4e-9b6a-3f1f0a6b5c11"
K8S = "dagster-k8s/config"

TEXT = """
infrastructure:
  resource_profiles:
    odd:
      requests: {cpu: 100m, memory: 700Mi}
      limits: {cpu: 1500m, memory: 2Gi, ephemeral-storage: 4Gi}
    bare: {limits: {cpu: "2", memory: 1Gi}}
    given:
      limits: {cpu: "4", memory: 8Gi, ephemeral-storage: 4Gi}
      env: {DUCKDB_MEMORY_LIMIT: 3GB, DUCKDB_MAX_TEMP_DIRECTORY_SIZE: 3GB, OTHER: x}
code_locations:
  one_shop: {path: one, image: {repository: one, tag: "1"}}
"""

RELEASE = Release(
    "prod",
    "prod-slipway",
    {"apiVersion": "v1", "kind": "ConfigMap", "name": "prod-slipway-platform", "uid": "u-1"},
    {"app.kubernetes.io/version": "0.1.0", "helm.sh/chart": "slipway-0.1.0"},
)


def order(profile="odd", kubernetes="", **more):
    platform = parse(f"{TEXT}\n{kubernetes}", "platform.yaml")
    given = {
        "run_id": RUN,
        "job_name": "__ASSET_JOB",
        "location": "one_shop",
        "image": "one:1",
        "python": "/opt/venv/bin/python",
        "folder": Path("one"),
        "arguments": '{"a": "$(HOME)"}',
        "env": {"B": "2$(A)", "A": "1", "TOKEN": SecretKey("s", "k")},
        "profile": resolve(platform, "one_shop", run_tag=profile),
        "platform": platform,
    }
    return WorkOrder(**{**given, **more})


def body(work, tag=None, release=RELEASE):
    tags = {} if tag is None else {K8S: json.dumps(tag)}
    return kubernetes_job.body(work, release, kubernetes_tag.read(tags))


def pod_of(job):
    return job["spec"]["template"]["spec"]


def container_of(job):
    return pod_of(job)["containers"][0]


def values(job):
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container_of(job)["env"]}


def test_the_whole_body():
    labels = {
        "app.kubernetes.io/name": "slipway",
        "app.kubernetes.io/instance": "prod",
        "app.kubernetes.io/component": "run",
        "app.kubernetes.io/managed-by": "slipway",
        "app.kubernetes.io/version": "0.1.0",
        "helm.sh/chart": "slipway-0.1.0",
        "slipway/location": "one_shop",
        "slipway/profile": "odd",
        "dagster/run-id": RUN,
        "dagster/job": "ASSET_JOB",
    }
    assert body(order()) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"slipway-run-{RUN}",
            "labels": labels,
            "ownerReferences": [RELEASE.owner],
        },
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": "prod-slipway-runs",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 30,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 10001,
                        "runAsGroup": 10001,
                        "fsGroup": 10001,
                        "fsGroupChangePolicy": "OnRootMismatch",
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "4Gi"}}],
                    "containers": [
                        {
                            "name": "run",
                            "image": "one:1",
                            "imagePullPolicy": "IfNotPresent",
                            "args": ["/opt/venv/bin/python", "-m", "slipway.worker", '{"a": "$$(HOME)"}'],
                            "env": [
                                {"name": "A", "value": "1"},
                                {"name": "B", "value": "2$$(A)"},
                                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                            ],
                            "resources": {
                                "requests": {"cpu": "100m", "memory": "700Mi", "ephemeral-storage": "256Mi"},
                                "limits": {"cpu": "1500m", "memory": "2Gi", "ephemeral-storage": "4224Mi"},
                            },
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": True,
                            },
                            "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
                        }
                    ],
                },
            },
        },
    }


def test_a_location_with_a_duckdb_file_has_its_own_claim_and_nothing_else_changes():
    plain, job = body(order()), body(order(has_duckdb_file=True))
    assert pod_of(job)["volumes"].pop() == {
        "name": "duckdb",
        "persistentVolumeClaim": {"claimName": "prod-slipway-duckdb-one-shop"},
    }
    assert container_of(job)["volumeMounts"].pop() == {
        "name": "duckdb",
        "mountPath": "/var/lib/slipway/duckdb",
    }
    assert job == plain


def test_without_requests_they_are_the_limits_but_not_of_the_disk():
    """Kubernetes would take the limit of the disk too, and no node would have so much."""
    assert container_of(body(order("bare")))["resources"] == {
        "requests": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "256Mi"},
        "limits": {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "20608Mi"},
    }


def test_no_chart_made_the_release():
    job = body(order(), release=Release("lab", "lab-slipway"))
    assert "ownerReferences" not in job["metadata"]
    assert "helm.sh/chart" not in job["metadata"]["labels"]


KUBERNETES = """
kubernetes:
  imagePullPolicy: Always
  imagePullSecrets: [{name: pull}]
  commonLabels: {team: data}
  commonAnnotations: {cost: "1"}
  runs:
    serviceAccount: {name: own}
    nodeSelector: {pool: runs, zone: a}
    tolerations: [{key: runs, operator: Exists}]
    affinity: {nodeAffinity: {x: 1}, podAffinity: {y: 1}}
    priorityClassName: low
    topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
    podAnnotations: {a: "1", b: "1"}
    podLabels: {l: "1"}
    env: [{name: PROXY, value: "http://$(A)"}, {name: B, value: from runs}]
  codeLocations:
    one_shop:
      nodeSelector: {server: only}
      runs:
        nodeSelector: {zone: b}
        tolerations: [{key: shop, operator: Exists}]
        podAnnotations: {b: "2"}
        env: [{name: B, value: from the location}]
    other:
      runs: {priorityClassName: high}
"""


def test_what_platform_yaml_says_of_runs_and_nearer_of_one_locations():
    kubernetes = KUBERNETES.replace("{nodeAffinity: {x: 1}, podAffinity: {y: 1}}", "{nodeAffinity: {}}")
    work = order(kubernetes=kubernetes.replace("    other:\n      runs: {priorityClassName: high}\n", ""))
    job = body(work)
    pod, template = pod_of(job), job["spec"]["template"]
    assert pod["serviceAccountName"] == "own"
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["nodeSelector"] == {"pool": "runs", "zone": "b"}
    assert pod["tolerations"] == [{"key": "shop", "operator": "Exists"}]
    assert pod["priorityClassName"] == "low"
    assert pod["topologySpreadConstraints"] == [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ]
    assert pod["affinity"] == {"nodeAffinity": {}}
    assert template["metadata"]["annotations"] == {"cost": "1", "a": "1", "b": "2"}
    assert job["metadata"]["annotations"] == {"cost": "1"}
    labels = template["metadata"]["labels"]
    assert (labels["team"], labels["l"], labels["slipway/location"]) == ("data", "1", "one_shop")
    assert job["metadata"]["labels"]["team"] == "data"
    assert container_of(job)["imagePullPolicy"] == "Always"
    # These may refer to others, so they are last and are Kubernetes' own text.
    assert [one["name"] for one in container_of(job)["env"]] == ["A", "TOKEN", "PROXY", "B"]
    assert values(job)["PROXY"] == "http://$(A)"
    assert values(job)["B"] == "from the location"


def test_variables_that_slipway_derives_are_refused_in_platform_yaml():
    with pytest.raises(UserError, match=r"kubernetes\.runs\.env.*DUCKDB_THREADS"):
        order(kubernetes="kubernetes: {runs: {env: [{name: DUCKDB_THREADS, value: '9'}]}}")


def test_the_tag_is_merged_deeply_over_what_platform_yaml_says():
    tag = {
        "container_config": {
            "env": [
                {"name": "A", "value": "tag"},
                {"name": "FROM", "valueFrom": {"fieldRef": {"fieldPath": "p"}}},
            ],
            "volumeMounts": [{"name": "more", "mountPath": "/more"}],
            "command": ["/wrap"],
            "image": "other:2",
            "security_context": {"read_only_root_filesystem": False},
        },
        "pod_spec_config": {
            "node_selector": {"gpu": "yes"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "volumes": [{"name": "more", "emptyDir": {}}],
            "termination_grace_period_seconds": 90,
        },
        "pod_template_spec_metadata": {
            "labels": {"x": "1", "dagster/run-id": "fake"},
            "annotations": {"y": "1"},
        },
        "job_metadata": {"annotations": {"z": "1"}},
        "job_spec_config": {"ttl_seconds_after_finished": 5},
    }
    job = body(order(kubernetes="kubernetes: {runs: {nodeSelector: {pool: runs}}}"), tag)
    pod, container = pod_of(job), container_of(job)
    assert values(job) == {
        "A": "tag",
        "B": "2$$(A)",
        "FROM": {"fieldRef": {"fieldPath": "p"}},
        "TOKEN": {"secretKeyRef": {"name": "s", "key": "k"}},
    }
    assert [mount["name"] for mount in container["volumeMounts"]] == ["scratch", "more"]
    assert (container["image"], container["command"], container["name"]) == ("other:2", ["/wrap"], "run")
    assert container["args"][1:3] == ["-m", "slipway.worker"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": False,
    }
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["nodeSelector"] == {"pool": "runs", "gpu": "yes"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert pod["terminationGracePeriodSeconds"] == 90
    assert job["spec"]["ttlSecondsAfterFinished"] == 5
    assert job["spec"]["template"]["metadata"]["labels"]["dagster/run-id"] == RUN
    assert job["spec"]["template"]["metadata"]["annotations"] == {"y": "1"}
    assert job["metadata"]["annotations"] == {"z": "1"}


def test_shallow_replaces_what_platform_yaml_says_and_not_what_makes_the_pod_the_runs():
    tag = {
        "merge_behavior": "SHALLOW",
        "container_config": {"env": [{"name": "ONLY", "value": "1"}], "resources": {"limits": {"cpu": "1"}}},
        "pod_spec_config": {"node_selector": {"gpu": "yes"}, "volumes": []},
    }
    kubernetes = "kubernetes: {runs: {nodeSelector: {pool: runs}, env: [{name: MORE, value: '1'}]}}"
    job = body(order(kubernetes=kubernetes), tag)
    assert set(values(job)) == {"A", "B", "TOKEN", "ONLY"}
    assert pod_of(job)["nodeSelector"] == {"gpu": "yes"}
    assert [volume["name"] for volume in pod_of(job)["volumes"]] == ["scratch"]
    assert container_of(job)["resources"]["limits"]["memory"] == "2Gi"


@pytest.mark.parametrize(
    ("kubernetes", "account"),
    [("", "prod-slipway-daemon"), ("kubernetes: {daemon: {serviceAccount: {name: mine}}}", "mine")],
)
def test_no_run_is_the_daemon(kubernetes, account):
    with pytest.raises(UserError, match="is the daemon's own"):
        body(order(kubernetes=kubernetes), {"pod_spec_config": {"service_account_name": account}})


def test_a_container_beside_the_runs_own():
    tag = {"pod_spec_config": {"containers": [{"name": "proxy", "image": "p:1"}]}}
    assert [one["name"] for one in pod_of(body(order(), tag))["containers"]] == ["run", "proxy"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "Expecting value"),
        ('{"container_confg": {}}', 'Received unexpected config entry "container_confg"'),
        ('{"container_config": {"imag": "x"}}', "Unexpected keys in model class V1Container: {'imag'}"),
        ('{"merge_behavior": "SOMEHOW"}', "merge_behavior"),
        ('{"container_config": {"name": "x"}}', "container_config.name is decided by Slipway"),
        ('{"container_config": {"args": ["x"]}}', "container_config.args is decided by Slipway"),
        ('{"job_spec_config": {"backoff_limit": 4}}', "job_spec_config.backoff_limit is decided by Slipway"),
        ('{"job_spec_config": {"parallelism": 4}}', "job_spec_config.parallelism is decided by Slipway"),
        ('{"job_metadata": {"name": "x"}}', "job_metadata.name is decided by Slipway"),
        ('{"job_config": {"kind": "Pod"}}', "job_config.kind is decided by Slipway"),
        ('{"pod_spec_config": {"restart_policy": "Always"}}', "pod_spec_config.restart_policy is decided"),
        (
            '{"container_config": {"env": [{"name": "SLIPWAY_LOCATION", "value": "x"}]}}',
            "sets SLIPWAY_LOCATION",
        ),
        ('{"container_config": {"env": [{"name": "DUCKDB_THREADS", "value": "9"}]}}', "sets DUCKDB_THREADS"),
        ('{"container_config": {"resources": {"limits": ["cpu"]}}}', "container_config.resources: "),
    ],
)
def test_a_tag_that_cannot_be(text, says):
    with pytest.raises(UserError) as raised:
        kubernetes_tag.read({K8S: text})
    assert raised.value.message.startswith("run tag dagster-k8s/config: ")
    assert says in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("pod_spec_config", "tolerations", {"key": "x"}),
        ("pod_spec_config", "node_selector", ["x"]),
        ("container_config", "env", {"A": "1"}),
        ("container_config", "env", "A=1"),
        ("container_config", "volume_mounts", ["x"]),
        ("pod_spec_config", "termination_grace_period_seconds", "soon"),
        ("pod_template_spec_metadata", "labels", ["x"]),
    ],
)
def test_a_value_of_the_wrong_form_is_named_by_its_key(section, key, value):
    with pytest.raises(UserError) as raised:
        body(
            order(),
            {section: {"image": "one:2", key: value} if section == "container_config" else {key: value}},
        )
    assert raised.value.message.startswith(f"run tag dagster-k8s/config: {section}.{key}")


def adjusted(profile, resources, **tags):
    tags = {K8S: json.dumps({"container_config": {"resources": resources}}), **tags}
    return kubernetes_tag.adjusted(order(profile).profile, kubernetes_tag.read(tags))


def test_resources_of_the_tag_beat_the_profile_and_duckdb_follows():
    raised, told = adjusted("odd", {"limits": {"memory": "8Gi", "cpu": "3"}})
    assert (raised.limits.memory, raised.limits.cpu, raised.limits.scratch) == (8 * 2**30, 3, 4 * 2**30)
    assert raised.duckdb.memory_limit == 4505 * 2**20
    assert raised.duckdb.threads == 3
    assert raised.requests.memory == 700 * 2**20
    assert raised.tags()["slipway/memory"] == "8Gi"
    assert told == [
        "Run tag dagster-k8s/config sets limits.cpu 3, in place of profile 'odd'.",
        "Run tag dagster-k8s/config sets limits.memory 8Gi, in place of profile 'odd'.",
    ]


def test_a_lower_limit_lowers_what_was_asked_for_and_what_was_given():
    lowered, told = adjusted("given", {"limits": {"memory": "1Gi", "ephemeral-storage": "1Gi"}})
    assert lowered.requests.memory is None
    assert lowered.duckdb.memory_limit == 512 * 2**20
    assert lowered.duckdb.max_temp_directory_size == 2**30
    assert any("DUCKDB_MEMORY_LIMIT" in sentence and "does not fit" in sentence for sentence in told)
    assert any("DUCKDB_MAX_TEMP_DIRECTORY_SIZE" in sentence for sentence in told)
    odd, _ = adjusted("odd", {"limits": {"memory": "640Mi"}})
    assert odd.requests.memory == 640 * 2**20
    kept, told = adjusted("given", {"limits": {"memory": "16Gi"}})
    assert kept.duckdb.memory_limit == 3 * 10**9
    assert not [sentence for sentence in told if sentence.startswith("Warning")]


def test_a_disk_of_the_tag_is_both_the_scratch_and_the_limit():
    tag = {
        "container_config": {"resources": {"limits": {"ephemeral-storage": "100Mi", "example.com/gpu": "1"}}}
    }
    wanted = kubernetes_tag.read({K8S: json.dumps(tag)})
    profile, _ = kubernetes_tag.adjusted(order().profile, wanted)
    job = kubernetes_job.body(replace(order(), profile=profile), RELEASE, wanted)
    assert pod_of(job)["volumes"][0]["emptyDir"] == {"sizeLimit": "100Mi"}
    assert container_of(job)["resources"] == {
        "requests": {"cpu": "100m", "memory": "700Mi", "ephemeral-storage": "100Mi"},
        "limits": {"cpu": "1500m", "memory": "2Gi", "ephemeral-storage": "100Mi", "example.com/gpu": "1"},
    }


@pytest.mark.parametrize(
    ("resources", "says"),
    [
        ({"limits": {"memory": "8 GB"}}, "limits.memory: "),
        ({"requests": {"cpu": "-1"}}, "requests.cpu: "),
        ({"requests": {"memory": "3Gi"}}, "requests.memory 3Gi is above the run's limit"),
        ({"limits": {"cpu": "0"}}, "limits.cpu 0"),
        ({"limits": {"memory": "64Mi"}}, "leaves DuckDB nothing to work with"),
    ],
)
def test_amounts_that_cannot_be(resources, says):
    with pytest.raises(UserError) as raised:
        adjusted("odd", resources)
    assert says in raised.value.message


def test_the_older_tag_of_resources_counts_as_well():
    tags = {"dagster-k8s/resource_requirements": json.dumps({"limits": {"memory": "3Gi"}})}
    profile, _ = kubernetes_tag.adjusted(order().profile, kubernetes_tag.read(tags))
    assert profile.limits.memory == 3 * 2**30


def test_a_run_without_tags_keeps_its_profile():
    profile = order().profile
    assert kubernetes_tag.adjusted(profile, kubernetes_tag.read({"other": "x"})) == (profile, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("__ASSET_JOB", "ASSET_JOB"), ("a+b", "a-b"), ("_-x-_", "x"), ("x" * 70, "x" * 63), ("é", "")],
)
def test_labels_have_values_that_kubernetes_takes(text, expected):
    assert kubernetes_job.label(text) == expected


def test_the_tag_has_the_sections_that_are_judged_here():
    """A section that upstream adds must be looked at: what may it change?"""
    assert set(USER_DEFINED_K8S_JOB_CONFIG_SCHEMA.fields) == {
        "container_config",
        "pod_spec_config",
        "pod_template_spec_metadata",
        "job_config",
        "job_metadata",
        "job_spec_config",
        "merge_behavior",
    }


def test_other_runtimes_need_nothing_of_kubernetes():
    script = """
import sys
sys.modules["kubernetes"] = sys.modules["dagster_k8s"] = None
import slipway.daemon.__main__, slipway.launch.docker, slipway.launch.launcher, slipway.launch.process
from slipway.launch.runtimes import adapter
adapter({"SLIPWAY_RUNTIME": "process", "SLIPWAY_STATE": "x"}, print)
"""
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
