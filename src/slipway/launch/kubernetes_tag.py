"""What a run asks of Kubernetes by itself, in Dagster's own tag `dagster-k8s/config`.

Reading and merging are Dagster's. Where Slipway must know the outcome, the tag may not say otherwise: a second pod for
one run, another name of its container, variables that are derived from its limits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dagster import DagsterInvalidConfigError
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import (
    K8S_RESOURCE_REQUIREMENTS_KEY,
    USER_DEFINED_K8S_CONFIG_KEY,
    UserDefinedDagsterK8sConfig,
    get_user_defined_k8s_config,
)
from dagster_k8s.models import k8s_model_from_dict
from kubernetes import client

from slipway.config import quantity
from slipway.config.errors import UserError
from slipway.profiles import ResolvedProfile

Section = Mapping[str, Any]

TAGS = (USER_DEFINED_K8S_CONFIG_KEY, K8S_RESOURCE_REQUIREMENTS_KEY)
"""The second is the older form of the first one's resources."""

OWN_PREFIXES = ("SLIPWAY_", "DUCKDB_")
"""Variables that are made from the run's profile and platform.yaml, and from nothing else."""

_TAKEN = {
    "job_config": frozenset[str](),
    "job_metadata": frozenset({"labels", "annotations"}),
    "job_spec_config": frozenset({"active_deadline_seconds", "ttl_seconds_after_finished"}),
    "pod_template_spec_metadata": frozenset({"labels", "annotations"}),
}
"""What is taken of these sections."""

_NOT_TAKEN = {
    "container_config": frozenset({"name", "args"}),
    "pod_spec_config": frozenset({"restart_policy"}),
}
"""What is not taken of these."""

_FORMS: Mapping[str, tuple[Any, Section]] = {
    "container_config": (client.V1Container, {"name": "run"}),
    "pod_spec_config": (client.V1PodSpec, {"containers": []}),
    "pod_template_spec_metadata": (client.V1ObjectMeta, {}),
    "job_metadata": (client.V1ObjectMeta, {}),
    "job_spec_config": (client.V1JobSpec, {"template": {}}),
}
"""What each section is a part of, and what that must have."""


@dataclass(frozen=True)
class Wanted:
    """The tags of one run, read."""

    sections: UserDefinedDagsterK8sConfig = field(default_factory=UserDefinedDagsterK8sConfig)
    """All but the resources of the container."""
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)

    def onto(self, settings: UserDefinedDagsterK8sConfig) -> UserDefinedDagsterK8sConfig:
        """Merged over the platform's settings, as the tag's own `merge_behavior` says.

        Raises:
            UserError: the two do not fit together.
        """
        try:
            under = K8sContainerContext(run_k8s_config=settings)
            return under.merge(K8sContainerContext(run_k8s_config=self.sections)).run_k8s_config
        except Exception as error:
            raise _bad(error) from error


def read(tags: Mapping[str, str]) -> Wanted:
    """What a run's tags ask for.

    Raises:
        UserError: they cannot be read, or ask for what Slipway decides.
    """
    if not any(tag in tags for tag in TAGS):
        return Wanted()
    found = _read(tags)
    _check(found)
    container = dict(found.container_config)
    resources = container.pop("resources", None) or {}
    return Wanted(
        found._replace(container_config=container),
        _amounts(resources, "requests"),
        _amounts(resources, "limits"),
    )


def _read(tags: Mapping[str, str]) -> UserDefinedDagsterK8sConfig:
    try:
        found: UserDefinedDagsterK8sConfig = get_user_defined_k8s_config(dict(tags))
        return found
    except (ValueError, DagsterInvalidConfigError) as error:
        raise _bad(error) from error
    except Exception as error:
        raise _bad(f"{_culprit(tags)}{error}") from error


def _culprit(tags: Mapping[str, str]) -> str:
    """Which key it is that Dagster cannot read: the one that it cannot read alone."""
    given = json.loads(tags.get(USER_DEFINED_K8S_CONFIG_KEY, "{}"))
    for section, keys in given.items():
        for key, value in keys.items() if isinstance(keys, dict) else ():
            try:
                get_user_defined_k8s_config(
                    {USER_DEFINED_K8S_CONFIG_KEY: json.dumps({section: {key: value}})}
                )
            except Exception:
                return f"{section}.{key}: "
    return ""


def _amounts(resources: Section, what: str) -> dict[str, str]:
    given = resources.get(what) or {}
    if not isinstance(given, dict):
        raise _bad(f"container_config.resources.{what} is not a map")
    return {name: str(amount) for name, amount in given.items()}


def _check(found: UserDefinedDagsterK8sConfig) -> None:
    sections: Mapping[str, Section] = found._asdict()
    for name, (model, needed) in _FORMS.items():
        for key, value in sections[name].items():
            try:
                k8s_model_from_dict(model, {**needed, key: value})
            except Exception as error:
                raise _bad(f"{name}.{key}: {error}") from error
    for name, taken in _TAKEN.items():
        _refuse(name, set(sections[name]) - taken)
    for name, not_taken in _NOT_TAKEN.items():
        _refuse(name, set(sections[name]) & not_taken)
    for variable in sections["container_config"].get("env") or ():
        if str(variable.get("name")).startswith(OWN_PREFIXES):
            raise _bad(
                f"container_config.env sets {variable['name']}, which Slipway derives",
                "set limits under container_config.resources, or give DUCKDB_* in the env of a resource profile",
            )


def _refuse(section: str, keys: set[str]) -> None:
    if keys:
        raise _bad(f"{section}.{min(keys)} is decided by Slipway", "leave it out of the tag")


def adjusted(profile: ResolvedProfile, wanted: Wanted) -> tuple[ResolvedProfile, list[str]]:
    """The profile with the resources that the tags set, DuckDB's settings derived anew, and a sentence for each.

    Raises:
        UserError: an amount cannot be read, or a request is above its limit.
    """
    limits, requests = profile.limits, profile.requests
    cpu = _cpu(wanted.limits, "limits", limits.cpu)
    memory = _bytes(wanted.limits, "limits", "memory", limits.memory)
    scratch = _bytes(wanted.limits, "limits", "ephemeral-storage", limits.scratch)
    asked_cpu = _cpu(wanted.requests, "requests", requests.cpu)
    asked_memory = _bytes(wanted.requests, "requests", "memory", requests.memory)
    if cpu <= 0:
        raise _bad(f"limits.cpu {wanted.limits['cpu']} leaves the run nothing")
    _not_above("cpu", wanted.requests, asked_cpu, cpu)
    _not_above("memory", wanted.requests, asked_memory, memory)
    changed, warnings = profile.with_resources(
        cpu=cpu,
        memory=memory,
        scratch=scratch,
        requested_cpu=None if asked_cpu is None else min(asked_cpu, cpu),
        requested_memory=None if asked_memory is None else min(asked_memory, memory),
    )
    told = [
        f"Run tag {USER_DEFINED_K8S_CONFIG_KEY} sets {kind}.{name} {amount}, in place of profile '{profile.name}'."
        for kind, amounts in (("limits", wanted.limits), ("requests", wanted.requests))
        for name, amount in sorted(amounts.items())
    ]
    return changed, told + [f"Warning: {warning}" for warning in warnings]


def _not_above(name: str, given: Mapping[str, str], request: Any, limit: Any) -> None:
    if name in given and request > limit:
        raise _bad(f"requests.{name} {given[name]} is above the run's limit", f"set limits.{name} as well")


def _cpu(amounts: Mapping[str, str], kind: str, default: Any) -> Any:
    if "cpu" not in amounts:
        return default
    try:
        value: Decimal = quantity.parse_cpu(amounts["cpu"])
    except ValueError as error:
        raise _bad(f"{kind}.cpu: {error}") from error
    return value


def _bytes(amounts: Mapping[str, str], kind: str, name: str, default: Any) -> Any:
    if name not in amounts:
        return default
    try:
        return quantity.parse_bytes(amounts[name])
    except ValueError as error:
        raise _bad(f"{kind}.{name}: {error}") from error


def _bad(error: Exception | str, hint: str | None = None) -> UserError:
    errors = getattr(error, "errors", None)
    said = "; ".join(one.message for one in errors) if errors else str(error)
    return UserError(
        f"run tag {USER_DEFINED_K8S_CONFIG_KEY}: {' '.join(said.split())}",
        hint or "its keys and their meaning are Dagster's: docs/launch.md",
    )
