"""What is told of a run that was out of memory, and the tags by which all agree on what becomes of it.

A launch decides both before the run begins. The run's own processes need it as well as the launcher: when only a
step's process is killed, they report the failure themselves, and everybody may act on it at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from slipway.config.quantity import format_bytes, readable

VARIABLE = "SLIPWAY_OUT_OF_MEMORY"
"""The run's `Outlook` as JSON, for its own processes."""

FROZEN_TAG = "slipway/frozen"
STATE_TAG = "slipway/out_of_memory"
WILL_RETRY_TAG = "dagster/will_retry"
PREFIX = "Out of memory: "


class State(StrEnum):
    """Values of the tag `slipway/out_of_memory`."""

    PENDING = "retry pending"
    RETRIED = "retried"
    FINAL = "not retried"
    """Neither on a larger profile nor, by `dagster/max_retries`, on the same one."""
    UNMANAGED = "yes"
    """No larger profile is named, so `dagster/max_retries` counts as for every failure."""
    OTHER = "no"
    """A process was killed for want of memory, and the run failed of something else."""
    UNKNOWN = "not yet"
    """What a launch makes of a value that a re-execution has copied from its parent."""


@dataclass(frozen=True)
class Outlook:
    """What is to be told and done when this run is out of memory."""

    run_id: str
    profile: str
    limit: int
    """Bytes."""
    then: str
    """What becomes of it, or what the way out is, in words."""
    state: State
    accounted: bool
    """Whether the kernel counts this run's memory apart from that of others."""

    def sentence(self, what: str, peak: int | None) -> str:
        """The reason of the failure.

        Args:
            what: who wanted memory, such as "the kernel killed the run".
            peak: bytes that the run used at most, where known.
        """
        used = "" if peak is None else f" (peak {readable(peak)})"
        limit = format_bytes(self.limit)
        return (
            f"{PREFIX}{what} at the memory limit of {limit} of profile '{self.profile}'{used}; {self.then}."
        )

    def tags(self) -> dict[str, str]:
        """What is written on the run before it is reported as failed, so that nobody takes it for lost."""
        return state_tags(self.state)

    def to_json(self) -> str:
        """The outlook as its run's processes read it."""
        return json.dumps(asdict(self), separators=(",", ":"))


def read(env: Mapping[str, str]) -> Outlook | None:
    """The outlook of the run whose environment this is; None outside a launched run."""
    text = env.get(VARIABLE)
    if text is None:
        return None
    values = json.loads(text)
    return Outlook(**{**values, "state": State(values["state"])})


def state_tags(state: State) -> dict[str, str]:
    """The tags of a state, with Dagster's own where ours decides: backfills and sensors wait for a retry by it."""
    retry = _RETRIES.get(state)
    return {STATE_TAG: state.value} | ({} if retry is None else {WILL_RETRY_TAG: str(retry).lower()})


def state(tags: Mapping[str, str], run_id: str) -> State | None:
    """The state of this very run; None where nothing is known. A re-execution copies its parent's tags."""
    text = tags.get(STATE_TAG)
    if text not in set(State) or json.loads(tags.get(FROZEN_TAG, "{}")).get("run_id") != run_id:
        return None
    found = State(text)
    return None if found is State.UNKNOWN else found


def will_retry(tags: Mapping[str, str], run_id: str) -> bool | None:
    """Whether a failed run is, or was, to be retried for want of memory; None: this is not ours to decide."""
    found = state(tags, run_id)
    return None if found is None else _RETRIES.get(found)


def ran_out(tags: Mapping[str, str], run_id: str) -> bool:
    """Whether this very run failed for want of memory."""
    return state(tags, run_id) not in (None, State.OTHER)


_RETRIES = {State.PENDING: True, State.RETRIED: True, State.FINAL: False}
