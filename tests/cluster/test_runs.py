"""A run on the cluster: its Job and pod as they are, and what the run itself sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from installed import RELEASE, TOKEN, Installed, variables
from waiting import until


class Seen:
    """A run that waits, with its pod and Job as they were meanwhile."""

    def __init__(self, installed: Installed) -> None:
        self.run_id = installed.launch_job(
            "launched",
            "waiting",
            ops={"wait": {"config": {"seconds": 600}}},
            tags={"slipway/profile": "small"},
        )
        self.pod = installed.run_pod(self.run_id)
        job = installed.get("jobs", f"slipway-run-{self.run_id}")
        assert job is not None
        self.job = job
        [self.container] = self.pod["spec"]["containers"]


@pytest.fixture(scope="module")
def seen(installed: Installed) -> Seen:
    found = Seen(installed)
    installed.says(found.run_id, "holding on")
    return found


@pytest.fixture(scope="module")
def surroundings(installed: Installed) -> dict[str, Any]:
    """What a run saw that has ended."""
    run_id = installed.launch_job("launched", "surroundings_job")
    assert installed.finished(run_id)["status"] == "SUCCESS", installed.failure(run_id)
    found = installed.graphql(
        """query($run: ID!) { runOrError(runId: $run) { ... on Run { assetMaterializations { metadataEntries {
             label ... on TextMetadataEntry { text } } } } } }""",
        run=run_id,
    )["runOrError"]["assetMaterializations"]
    [materialization] = found
    return {
        "run_id": run_id,
        **{entry["label"]: entry.get("text") for entry in materialization["metadataEntries"]},
    }


def test_it_has_the_requests_and_limits_of_its_profile(seen: Seen) -> None:
    resources = seen.container["resources"]
    assert resources["requests"] == {"cpu": "50m", "memory": "128Mi"} | {
        key: value for key, value in resources["requests"].items() if key == "ephemeral-storage"
    }
    assert {key: resources["limits"][key] for key in ("cpu", "memory")} == {"cpu": "1", "memory": "1Gi"}


def test_its_scratch_has_a_size_and_is_not_memory(seen: Seen) -> None:
    [mount] = [mount for mount in seen.container["volumeMounts"] if mount["mountPath"] == "/tmp"]
    [volume] = [volume for volume in seen.pod["spec"]["volumes"] if volume["name"] == mount["name"]]
    assert volume["emptyDir"] == {"sizeLimit": "20Gi"}


def test_it_holds_no_token_and_little_else(seen: Seen) -> None:
    spec = seen.pod["spec"]
    assert spec["serviceAccountName"] == f"{RELEASE}-runs"
    assert spec["automountServiceAccountToken"] is False
    assert [volume for volume in spec["volumes"] if "projected" in volume] == []
    context = seen.container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"]["drop"] == ["ALL"]
    assert spec["restartPolicy"] == "Never"
    assert seen.job["spec"]["backoffLimit"] == 0


def test_each_variable_is_there_once_and_no_server_s(seen: Seen) -> None:
    names = variables(seen.container)
    assert len(names) == len(set(names))
    assert {"SLIPWAY_LOCATION", "SLIPWAY_SCRATCH", "DUCKDB_MEMORY_LIMIT", "LOCATION_VALUE"} <= set(names)
    foreign = [
        name
        for name in names
        if name.startswith(("KUBERNETES_", "STACK_", "DAGSTER_CURRENT"))
        or name in ("SLIPWAY_CONFIG_MAP", "SLIPWAY_ENVIRONMENT_SECRET")
    ]
    assert foreign == []


def test_secrets_are_references_in_the_pod(seen: Seen) -> None:
    text = json.dumps(seen.pod)
    assert "s3cret" not in text
    assert TOKEN not in text
    [secret] = [variable for variable in seen.container["env"] if variable["name"] == "LOCATION_SECRET"]
    assert secret["valueFrom"]["secretKeyRef"]["name"] == "of-launched"


def test_it_says_whose_it_is(seen: Seen) -> None:
    labels = seen.pod["metadata"]["labels"]
    assert {
        "app.kubernetes.io/name": "slipway",
        "app.kubernetes.io/instance": RELEASE,
        "app.kubernetes.io/component": "run",
        "slipway/location": "launched",
        "slipway/profile": "small",
        "dagster/run-id": seen.run_id,
        "dagster/job": "waiting",
    }.items() <= labels.items()
    [owner] = seen.job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("ConfigMap", f"{RELEASE}-platform")


def test_it_ends_when_terminated_in_the_ui_and_leaves_its_log(installed: Installed, seen: Seen) -> None:
    installed.terminate(seen.run_id)
    assert installed.finished(seen.run_id, 60)["status"] == "CANCELED"
    assert "let go" in "\n".join(installed.messages(seen.run_id))
    until(lambda: installed.run_is_gone(seen.run_id), 60, "its Job or its pod is still there")


def test_duckdb_has_the_profiles_settings_inside(surroundings: dict[str, Any]) -> None:
    settings = json.loads(surroundings["duckdb"])
    assert (settings["memory_limit"], settings["threads"]) == ("512.0 MiB", 1)
    assert settings["temp_directory"] == "/tmp/duckdb"
    assert settings["max_temp_directory_size"] == "20.0 GiB"
    assert settings["preserve_insertion_order"] is False


def test_it_sees_its_own_environment_alone(surroundings: dict[str, Any]) -> None:
    env = json.loads(surroundings["env"])
    assert env["SLIPWAY_RUNTIME"] == "kubernetes"
    assert env["SLIPWAY_LOCATION"] == "launched"
    assert (surroundings["location_env"], surroundings["location_secret"]) == ("plain", "s3cret")
    assert surroundings["foreign"] == ""
    assert surroundings["identity"].startswith("10001:")


def test_its_log_is_in_s3_and_can_be_read_in_the_ui(
    installed: Installed, surroundings: dict[str, Any]
) -> None:
    keys = [
        item["Key"]
        for item in installed.s3()
        .list_objects_v2(Bucket="dagster-compute-logs", Prefix=f"compute-logs/{surroundings['run_id']}/")
        .get("Contents", [])
    ]
    [log_key] = installed.log_keys(surroundings["run_id"])
    assert sorted(keys) == [f"compute-logs/{'/'.join(log_key)}.{kind}" for kind in ("err", "out")]
    assert "STEP_SUCCESS" in installed.log(log_key)["stderr"]


def test_its_job_is_gone_once_its_state_was_read(installed: Installed, surroundings: dict[str, Any]) -> None:
    until(lambda: installed.run_is_gone(surroundings["run_id"]), 60, "its Job or its pod is still there")


def test_a_location_with_a_duckdb_file_keeps_it_on_a_volume_of_its_own(installed: Installed) -> None:
    first = installed.seen(installed.launch("veteran", "veteran_visit"))
    second = installed.seen(installed.launch("veteran", "veteran_visit"))
    assert first["path"] == "/var/lib/slipway/duckdb/warehouse.duckdb"
    assert len(second["visits"]) == len(first["visits"]) + 1
    assert installed.get("persistentvolumeclaims", f"{RELEASE}-duckdb-veteran") is not None


def test_what_platform_yaml_gives_to_a_location_arrives(installed: Installed) -> None:
    seen = installed.seen(installed.launch("ecommerce", "ecommerce_probe"))
    assert (seen["plain"], seen["token"]) == ("a $5 plan", TOKEN)
    assert seen["uid"] == 10001
    assert int(seen["capabilities"], 16) == 0
    assert seen["no_new_privileges"] == "1"
    assert seen["writable"] == ["/tmp"]
