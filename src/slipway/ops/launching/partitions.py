"""Which partitions are to be launched, and in how many runs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from dagster import DagsterError, PartitionKeyRange, PartitionsDefinition
from dagster._core.definitions.backfill_policy import BackfillPolicyType
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.remote_representation.external_data import PartitionExecutionErrorSnap

from slipway.config.errors import UserError
from slipway.ops.launching.target import Target
from slipway.ops.running import RunningPlatform

SEPARATOR = "..."


@dataclass(frozen=True)
class Partitions:
    """The partitions of a launch; no keys: nothing that is launched has any."""

    keys: tuple[str, ...] = ()
    in_one_run: bool = False
    """Whether one run makes them all, as the assets' backfill policy says."""


def choose(
    running: RunningPlatform, target: Target, partition: str | None, partition_range: str | None
) -> Partitions:
    """Check what is asked for against the partitions that there are.

    Raises:
        UserError: there are none, one is needed and none is given, or there is no such partition or range.
    """
    if partition is not None and partition_range is not None:
        raise UserError("--partition and --partition-range exclude each other", "give one of them")
    definition = _definition(target)
    known = _known(running, target)
    if partition is None and partition_range is None:
        if definition is not None or known:
            raise UserError(
                f"{target} has partitions: {_some(known)}", "name --partition or --partition-range"
            )
        return Partitions()
    if definition is None and not known:
        raise UserError(f"{target} has no partitions", "leave out --partition and --partition-range")
    if partition is not None:
        return Partitions((_checked(partition, known),), in_one_run=True)
    start, separator, end = (partition_range or "").partition(SEPARATOR)
    if not (start and separator and end) or SEPARATOR in end:
        raise UserError(
            f"--partition-range {partition_range} is no range",
            f"write it as FIRST{SEPARATOR}LAST; there is: {_some(known)}",
        )
    keys = _between(running, definition, _checked(start, known), _checked(end, known), known)
    if not keys:
        raise UserError(f"--partition-range {partition_range} is empty", "the first one comes first")
    return Partitions(keys, in_one_run=len(keys) == 1 or _is_single_run(target))


def refused(what: str, snap: PartitionExecutionErrorSnap) -> UserError:
    """The error that a location's own code raised when it was asked for a partition."""
    return UserError(f"{what}: {snap.error.message.strip() if snap.error else 'its code failed'}")


def _definition(target: Target) -> PartitionsDefinition | None:
    """How the selected assets are partitioned, or the job itself; None where only its code server knows."""
    nodes = [node for node in target.nodes if node.partitions_def is not None]
    definitions = {node.partitions_def for node in nodes}
    if len(definitions) > 1:
        shown = "; ".join(f"{node.key.to_user_string()}: {node.partitions_def}" for node in nodes)
        raise UserError(
            f"the assets of {target} are partitioned in {len(definitions)} ways: {shown}",
            "launch them one after the other",
        )
    if definitions:
        return definitions.pop()
    job = target.partition_set
    return job.get_partitions_definition() if job is not None and job.has_partitions_definition() else None


def _known(running: RunningPlatform, target: Target) -> Sequence[str]:
    if not target.nodes and target.partition_set is None:
        return ()
    found = running.context.get_partition_names(
        repository_selector=target.selector,
        job_name=target.job,
        instance=running.instance,
        selected_asset_keys=target.keys,
    )
    if isinstance(found, PartitionExecutionErrorSnap):
        raise refused(f"the partitions of {target} are not known", found)
    return found.partition_names


def _checked(key: str, known: Sequence[str]) -> str:
    if key in known:
        return key
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
    meant = f"did you mean '{close[0]}'? " if close else ""
    raise UserError(f"there is no partition '{key}'", f"{meant}there is: {_some(known)}")


def _between(
    running: RunningPlatform,
    definition: PartitionsDefinition | None,
    start: str,
    end: str,
    known: Sequence[str],
) -> tuple[str, ...]:
    if definition is None:
        return tuple(known[known.index(start) : known.index(end) + 1])
    try:
        # A range of several dimensions is one of each of them.
        with partition_loading_context(dynamic_partitions_store=running.instance):
            return tuple(definition.get_partition_keys_in_range(PartitionKeyRange(start, end)))
    except DagsterError as error:
        raise UserError(f"--partition-range {start}{SEPARATOR}{end}: {error}") from error


def _is_single_run(target: Target) -> bool:
    policies = [node.backfill_policy for node in target.nodes if node.partitions_def is not None]
    return bool(policies) and all(
        policy is not None and policy.policy_type is BackfillPolicyType.SINGLE_RUN for policy in policies
    )


def _some(known: Sequence[str]) -> str:
    if not known:
        return "none yet"
    if len(known) <= 6:
        return ", ".join(known)
    return f"{', '.join(known[:2])}, … {known[-1]} ({len(known)})"
