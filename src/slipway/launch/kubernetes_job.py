"""The Job of a run: its body, built by pure functions from the run's work order and platform.yaml.

Three layers, the later over the earlier: what platform.yaml says of run pods, what the run's own tag says, and what
makes the pod this run's worker, which nothing replaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_k8s.job import UserDefinedDagsterK8sConfig
from dagster_k8s.models import k8s_model_from_dict
from kubernetes import client

from slipway.config import duckdb_file
from slipway.config.base import StrictModel
from slipway.config.errors import UserError
from slipway.config.kubernetes import EnvVar, Placement
from slipway.config.quantity import format_bytes, format_cpu
from slipway.launch.adapter import STOP_GRACE_SECONDS, SecretKey, Value, WorkOrder
from slipway.launch.kubernetes_status import CONTAINER
from slipway.launch.kubernetes_tag import OWN_PREFIXES, Wanted
from slipway.profiles import ResolvedProfile

Json = dict[str, Any]

USER = 10001
SCRATCH = "/tmp"  # noqa: S108 - a volume of the pod's own

SCRATCH_MARGIN = 128 * 2**20
"""What the container's output may take on the node's disk beside the scratch."""

SCRATCH_REQUEST = 256 * 2**20
"""Disk that a node must have free. Without a request Kubernetes takes the limit for one, and no node has so much."""

END_GRACE_SECONDS = STOP_GRACE_SECONDS + 5
"""For the container runtime to notice what ended within the run's own grace."""

INSTANCE_LABEL = "app.kubernetes.io/instance"
COMPONENT_LABEL = "app.kubernetes.io/component"
RUN_LABEL = "dagster/run-id"
INHERITED_LABELS = ("app.kubernetes.io/version", "helm.sh/chart")
"""What runs have from the platform's ConfigMap, which the chart makes."""


@dataclass(frozen=True)
class Release:
    """The installation that a run belongs to."""

    name: str
    fullname: str
    """What the names of its objects begin with."""
    owner: Mapping[str, str] | None = None
    """Reference to the object with which its runs go: when the release is uninstalled, so are they."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def selector(self) -> str:
        """By which its runs' Jobs and pods are found."""
        return f"{INSTANCE_LABEL}={self.name},{COMPONENT_LABEL}=run"


def job_name(run_id: str) -> str:
    """The name that a run's Job is found by."""
    return f"slipway-run-{run_id}"


def body(order: WorkOrder, release: Release, wanted: Wanted) -> Json:
    """The body of a request that makes a run's Job.

    Raises:
        UserError: the run's tags, or platform.yaml, ask for what cannot be.
    """
    merged = wanted.onto(_settings(order, release))
    _check_account(merged.pod_spec_config.get("service_account_name"), order, release)
    labels = _labels(order, release)
    container: Json = {
        "image": order.image,
        **merged.container_config,
        "name": CONTAINER,
        "args": [_literal(one) for one in (order.python, "-m", "slipway.worker", order.arguments)],
        "env": _environment(order.env, merged.container_config.get("env") or ()),
        "resources": resources(order.profile, wanted),
        "volume_mounts": [
            {"name": "scratch", "mount_path": SCRATCH},
            *([_DUCKDB_MOUNT] if order.has_duckdb_file else []),
            *(merged.container_config.get("volume_mounts") or ()),
        ],
    }
    pod: Json = {
        **merged.pod_spec_config,
        "restart_policy": "Never",
        "containers": [container, *(merged.pod_spec_config.get("containers") or ())],
        "volumes": [
            {"name": "scratch", "empty_dir": {"size_limit": format_bytes(order.profile.limits.scratch)}},
            *([_duckdb_volume(order, release)] if order.has_duckdb_file else []),
            *(merged.pod_spec_config.get("volumes") or ()),
        ],
    }
    job: Json = {
        "api_version": "batch/v1",
        "kind": "Job",
        "metadata": {
            **_metadata(merged.job_metadata, labels),
            "name": job_name(order.run_id),
            **({"owner_references": [_snake_case(release.owner)]} if release.owner else {}),
        },
        "spec": {
            **merged.job_spec_config,
            "backoff_limit": 0,
            "template": {
                "metadata": _metadata(merged.pod_template_spec_metadata, labels),
                "spec": pod,
            },
        },
    }
    return _as_json(job)


def _check_account(name: Any, order: WorkOrder, release: Release) -> None:
    """No run is the daemon, which may start and end all others."""
    if name == (order.platform.kubernetes.daemon.service_account.name or f"{release.fullname}-daemon"):
        raise UserError(
            f"service account '{name}' is the daemon's own, and no run may have it",
            "name another in the run tag dagster-k8s/config, or in kubernetes.runs.serviceAccount",
        )


def resources(profile: ResolvedProfile, wanted: Wanted) -> Json:
    """Requests and limits of the profile, with what the run's tags set of these and of other resources."""
    limits, requests = profile.limits, profile.requests
    disk = limits.scratch if "ephemeral-storage" in wanted.limits else limits.scratch + SCRATCH_MARGIN
    return {
        "requests": {
            "ephemeral-storage": format_bytes(min(SCRATCH_REQUEST, disk)),
            **wanted.requests,
            "cpu": format_cpu(limits.cpu if requests.cpu is None else requests.cpu),
            "memory": format_bytes(limits.memory if requests.memory is None else requests.memory),
        },
        "limits": {
            **wanted.limits,
            "cpu": format_cpu(limits.cpu),
            "memory": format_bytes(limits.memory),
            "ephemeral-storage": format_bytes(disk),
        },
    }


def _settings(order: WorkOrder, release: Release) -> UserDefinedDagsterK8sConfig:
    """What platform.yaml says of the pods of this location's runs."""
    kubernetes = order.platform.kubernetes
    overrides = kubernetes.code_locations.get(order.location)
    levels = [kubernetes.runs, *([overrides.runs] if overrides else [])]
    annotations = dict(kubernetes.common_annotations)
    return UserDefinedDagsterK8sConfig(
        container_config={
            "image_pull_policy": kubernetes.image_pull_policy,
            "security_context": {
                "allow_privilege_escalation": False,
                "capabilities": {"drop": ["ALL"]},
                "read_only_root_filesystem": True,
            },
            "env": _further_environment(levels),
        },
        pod_spec_config={
            "service_account_name": kubernetes.runs.service_account.name or f"{release.fullname}-runs",
            "automount_service_account_token": False,
            # Else the pod has variables of every Service of the namespace.
            "enable_service_links": False,
            "termination_grace_period_seconds": END_GRACE_SECONDS,
            "security_context": {
                "run_as_non_root": True,
                "run_as_user": USER,
                "run_as_group": USER,
                "fs_group": USER,
                "fs_group_change_policy": "OnRootMismatch",
                "seccomp_profile": {"type": "RuntimeDefault"},
            },
            **_given("image_pull_secrets", [_plain(one) for one in kubernetes.image_pull_secrets]),
            **_placement(levels),
        },
        pod_template_spec_metadata={
            "labels": {**kubernetes.common_labels, **_joined(one.pod_labels for one in levels)},
            "annotations": {**annotations, **_joined(one.pod_annotations for one in levels)},
        },
        job_metadata={"labels": dict(kubernetes.common_labels), "annotations": annotations},
    )


def _placement(levels: list[Placement]) -> Json:
    """Maps are joined, lists and single values replaced by what is nearer, as Helm does with values."""
    found: Json = _given("node_selector", _joined(one.node_selector for one in levels))
    for one in levels:
        found |= _given("tolerations", [_plain(toleration) for toleration in one.tolerations])
        found |= _given("topology_spread_constraints", one.topology_spread_constraints)
        found |= _given("priority_class_name", one.priority_class_name)
    return found | _given("affinity", _joined(_plain(one.affinity) for one in levels))


def _given(key: str, value: Any) -> Json:
    return {key: value} if value else {}


def _joined(maps: Iterable[Mapping[str, Any]]) -> Json:
    return {key: value for one in maps for key, value in one.items()}


def _plain(model: StrictModel) -> Json:
    """A part of platform.yaml as Kubernetes writes it."""
    return model.model_dump(by_alias=True, exclude_none=True)


def _further_environment(levels: list[Placement]) -> list[Json]:
    variables: dict[str, EnvVar] = {one.name: one for level in levels for one in level.env}
    for name in variables:
        if name.startswith(OWN_PREFIXES):
            raise UserError(
                f"kubernetes.runs.env, or that of a code location, sets {name}, which Slipway derives",
                "set limits in a resource profile, or give DUCKDB_* in its env",
            )
    return [_plain(one) for one in variables.values()]


def _environment(env: Mapping[str, Value], further: Iterable[Json]) -> list[Json]:
    """Each name once, and what is said last counts; these come last, since they may refer to the others."""
    last = {variable["name"]: variable for variable in further}
    own = [
        {"name": name, "value": _literal(value)}
        if isinstance(value, str)
        else {"name": name, "value_from": {"secret_key_ref": _secret(value)}}
        for name, value in sorted(env.items())
        if name not in last
    ]
    return [*own, *last.values()]


def _secret(value: SecretKey) -> Json:
    return {"name": value.name, "key": value.key}


def _literal(text: str) -> str:
    """A text in which Kubernetes finds no `$(NAME)` to replace."""
    return text.replace("$", "$$")


def _labels(order: WorkOrder, release: Release) -> dict[str, str]:
    labels = {
        "app.kubernetes.io/name": "slipway",
        INSTANCE_LABEL: release.name,
        COMPONENT_LABEL: "run",
        "app.kubernetes.io/managed-by": "slipway",
        **release.labels,
        "slipway/location": order.location,
        "slipway/profile": label(order.profile.name),
        RUN_LABEL: order.run_id,
        "dagster/job": label(order.job_name),
    }
    return {name: value for name, value in labels.items() if value}


def label(text: str) -> str:
    """A text as a label's value may be."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:63].strip("-_.")


def _metadata(merged: Mapping[str, Any], labels: Mapping[str, str]) -> Json:
    """Our labels stay: network policies, and the launcher itself, find pods by them."""
    return {
        "labels": {**(merged.get("labels") or {}), **labels},
        **_given("annotations", merged.get("annotations")),
    }


def _snake_case(owner: Mapping[str, str]) -> Json:
    return {"api_version": owner["apiVersion"], **{key: owner[key] for key in ("kind", "name", "uid")}}


_DUCKDB_MOUNT = {"name": "duckdb", "mount_path": duckdb_file.CONTAINER_FOLDER}


def _duckdb_volume(order: WorkOrder, release: Release) -> Json:
    claim = f"{release.fullname}-duckdb-{order.location.replace('_', '-')}"
    return {"name": "duckdb", "persistent_volume_claim": {"claim_name": claim}}


def _as_json(job: Json) -> Json:
    """The Job as Kubernetes writes it.

    Raises:
        UserError: some value has a form that Kubernetes has not.
    """
    try:
        model = k8s_model_from_dict(client.V1Job, job)
        written: Json = _SERIALIZER.sanitize_for_serialization(model)
    except Exception as error:
        raise UserError(
            f"the run's pod cannot be described: {' '.join(str(error).split())}",
            "check the run tag dagster-k8s/config, and the section kubernetes of platform.yaml",
        ) from error
    return written


_SERIALIZER = client.ApiClient(client.Configuration())
