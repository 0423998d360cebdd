"""Submits a run or a backfill by the same mutations that the UI sends, into the platform's queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dagster._core.remote_representation.external_data import PartitionExecutionErrorSnap
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG
from dagster_graphql.schema import create_schema

from slipway.config.errors import UserError
from slipway.launch import frozen, selection
from slipway.launch.frozen import FROZEN_TAG, PROFILE_TAG
from slipway.ops.launching.partitions import Partitions, refused
from slipway.ops.launching.target import Target
from slipway.ops.running import RunningPlatform, host
from slipway.profiles import ResolvedProfile

DAEMON_SILENCE_SECONDS = 120
"""Dagster's daemons write a heartbeat every 30 seconds."""

_LAUNCH_RUN = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on Error { message }
} }
"""

_LAUNCH_BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename
  ... on LaunchBackfillSuccess { backfillId }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on Error { message }
} }
"""


@dataclass(frozen=True)
class Submitted:
    """What waits in the queue now: one run, or a backfill of several."""

    run_id: str | None
    backfill_id: str | None
    partitions: int

    def page(self, running: RunningPlatform) -> str | None:
        """Its address in the UI."""
        return running.page(f"runs/{self.run_id}" if self.run_id else f"runs/b/{self.backfill_id}")

    def __str__(self) -> str:
        """For people."""
        if self.run_id is not None:
            return f"run {self.run_id}"
        return f"backfill {self.backfill_id} of {self.partitions} partitions"


def check_profile(running: RunningPlatform, target: Target, tags: Mapping[str, str]) -> ResolvedProfile:
    """The profile that the launcher will choose, by its own code, so that a bad one is refused before.

    Raises:
        UserError: a profile that the run, its job or its assets ask for does not exist, or cannot be launched here.
    """
    if FROZEN_TAG in tags:
        raise UserError(
            f"tag {FROZEN_TAG} is the launcher's own", f"to choose a profile: --tags {PROFILE_TAG}=…"
        )
    wished = selection.wishes_of(target.repository, target.job, target.keys)
    profile = selection.choose(running.platform, target.location, tags.get(PROFILE_TAG), wished)
    return frozen.fit(profile, host())[0]


def submit(
    running: RunningPlatform,
    target: Target,
    partitions: Partitions,
    tags: Mapping[str, str],
    config: Mapping[str, Any] | None,
) -> Submitted:
    """Put it into the queue.

    Args:
        running: the platform.
        target: what to launch.
        partitions: of it.
        tags: of the run, or of each run of the backfill.
        config: run configuration; None: what the partition gives, if anything.

    Raises:
        UserError: Dagster refuses it.
    """
    keys = sorted(target.keys) if target.keys is not None else None
    assets = None if keys is None else [{"path": list(key.path)} for key in keys]
    if len(partitions.keys) > 1 and not partitions.in_one_run:
        params: dict[str, Any] = {"partitionNames": list(partitions.keys), "tags": _pairs(tags)}
        if target.is_named_job:
            params["selector"] = _partition_set(target)
        if assets is not None:
            params["assetSelection"] = assets
        if config is not None:
            params["runConfigData"] = config
        answer = _mutate(running, _LAUNCH_BACKFILL, params)
        return Submitted(None, answer["backfillId"], len(partitions.keys))
    partition_tags, partition_config = _of_partition(running, target, partitions)
    selector: dict[str, Any] = {
        "repositoryLocationName": target.location,
        "repositoryName": target.repository.name,
        "jobName": target.job,
    }
    if assets is not None:
        selector["assetSelection"] = assets
    params = {
        "selector": selector,
        "runConfigData": partition_config if config is None else config,
        "executionMetadata": {"tags": _pairs({**target.remote_job.run_tags, **partition_tags, **tags})},
    }
    answer = _mutate(running, _LAUNCH_RUN, params)
    return Submitted(answer["run"]["runId"], None, len(partitions.keys))


def daemon_is_silent(running: RunningPlatform, submitted: Submitted) -> bool:
    """Whether nobody takes runs from the queue, or works on backfills, as far as heartbeats tell."""
    needed = {"QUEUED_RUN_COORDINATOR"} | ({"BACKFILL"} if submitted.backfill_id else set())
    beats = running.instance.get_daemon_heartbeats()
    now = datetime.now(UTC).timestamp()
    return any(name not in beats or now - beats[name].timestamp > DAEMON_SILENCE_SECONDS for name in needed)


def _of_partition(
    running: RunningPlatform, target: Target, partitions: Partitions
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Tags and configuration that a run gets for its partition."""
    if not partitions.keys:
        return {}, {}
    if len(partitions.keys) > 1:
        first, last = partitions.keys[0], partitions.keys[-1]
        return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}, {}
    (key,) = partitions.keys
    tags = running.context.get_partition_tags(
        repository_selector=target.selector,
        job_name=target.job,
        partition_name=key,
        instance=running.instance,
        selected_asset_keys=target.keys,
    )
    if isinstance(tags, PartitionExecutionErrorSnap):
        raise refused(f"partition '{key}' of {target}", tags)
    if not target.is_named_job or target.partition_set is None:
        return tags.tags, {}
    config = running.context.get_partition_config(
        repository_handle=target.repository.handle,
        job_name=target.job,
        partition_name=key,
        instance=running.instance,
    )
    if isinstance(config, PartitionExecutionErrorSnap):
        raise refused(f"partition '{key}' of {target}", config)
    return tags.tags, config.run_config


def _partition_set(target: Target) -> dict[str, Any]:
    found = target.partition_set
    if found is None:
        raise UserError(
            f"job '{target.job}' has no partitions of its own, so there is no backfill of it",
            "launch its assets: --assets without --job",
        )
    return {
        "partitionSetName": found.name,
        "repositorySelector": {
            "repositoryLocationName": target.location,
            "repositoryName": target.repository.name,
        },
    }


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _mutate(running: RunningPlatform, mutation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    result = asyncio.run(
        create_schema().execute_async(
            mutation, variable_values={"params": params}, context_value=running.context
        )
    )
    if result.errors:
        raise UserError(f"Dagster refuses this: {result.errors[0].message}")
    answer: dict[str, Any] = next(iter((result.data or {}).values()))
    if "errors" in answer:
        reasons = "; ".join(error["message"].strip() for error in answer["errors"])
        raise UserError(f"the configuration does not fit: {reasons}", "give it with --config FILE")
    if "message" in answer:
        raise UserError(f"Dagster refuses this: {answer['message'].strip()}")
    return answer
