"""What a launch decides is written on the run as tags, and everything after reads only those.

A profile that is renamed or changed later therefore breaks no live run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from slipway import profiles
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.config.quantity import readable
from slipway.launch.adapter import Host
from slipway.memory import exhaustion
from slipway.memory.exhaustion import State
from slipway.profiles import ResolvedProfile

PROFILE_TAG = "slipway/profile"
FROZEN_TAG = exhaustion.FROZEN_TAG


@dataclass(frozen=True)
class Escalation:
    """What is done when a run is out of memory."""

    successor: str | None = None
    """The profile that it is retried on; None: it is not."""
    number: int = 0
    """How many retries for want of memory led to this run."""
    most: int = 0
    """How many there may be."""
    retries: int = 0
    """How many automatic retries of any kind led to this run."""
    why: str | None = None
    """Why it is not retried, where a reader of platform.yaml would expect it."""

    @property
    def state(self) -> State:
        """What the run is tagged with when it is out of memory."""
        if self.successor is not None:
            return State.PENDING
        return State.FINAL if self.most else State.UNMANAGED

    @property
    def next_attempt(self) -> str:
        """The retry that would follow: the value of its tag."""
        return f"{self.number + 1} of {self.most}"


@dataclass(frozen=True)
class Frozen:
    """The profile of one run, as it was launched."""

    run_id: str
    profile: ResolvedProfile
    larger: str | None
    """Name of the profile with the next larger memory limit when the run was launched."""
    escalation: Escalation = Escalation()

    def tags(self) -> dict[str, str]:
        """The run's tags, each for people but `slipway/frozen`."""
        frozen = {
            "run_id": self.run_id,
            "larger": self.larger,
            "oom": asdict(self.escalation),
            "profile": json.loads(self.profile.to_json()),
        }
        return {**self.profile.tags(), FROZEN_TAG: json.dumps(frozen, separators=(",", ":"))}


def read(tags: Mapping[str, str], run_id: str) -> Frozen | None:
    """What was frozen for this very run. A re-execution copies its parent's tags: those do not count."""
    text = tags.get(FROZEN_TAG)
    if text is None:
        return None
    value = json.loads(text)
    if value["run_id"] != run_id:
        return None
    return Frozen(
        run_id,
        ResolvedProfile.from_json(json.dumps(value["profile"])),
        value["larger"],
        # Earlier versions froze none.
        Escalation(**value.get("oom", {})),
    )


def requested(tags: Mapping[str, str], run_id: str) -> str | None:
    """The profile that somebody asked for on the run itself.

    A tag that a re-execution copied from a parent, whose launch had chosen it by another rule, is no request.
    """
    name = tags.get(PROFILE_TAG)
    text = tags.get(FROZEN_TAG)
    if name is None or text is None:
        return name
    value = json.loads(text)
    parent = ResolvedProfile.from_json(json.dumps(value["profile"]))
    if value["run_id"] != run_id and parent.name == name and parent.source != "run":
        return None
    return name


def next_larger(platform: Platform, memory: int, host: Host | None) -> str | None:
    """The profile with the smallest memory limit above so many bytes that this host, if it is one, could launch."""
    if host is not None and memory >= host.memory:
        return None
    resolved = (
        profiles.resolve(platform, "", run_tag=name) for name in platform.infrastructure.resource_profiles
    )
    fitting = (
        (profile.limits.memory, profile.name)
        for profile in resolved
        if profile.limits.memory > memory and (host is None or (profile.requests.memory or 0) <= host.memory)
    )
    return min(fitting, default=(0, None))[1]


def fit(profile: ResolvedProfile, host: Host | None) -> tuple[ResolvedProfile, list[str]]:
    """The profile with limits that the host has, and a warning for each that was lowered.

    Without a host it stays as it is: a cluster schedules by requests, holds any limit, and says what it cannot place.

    Raises:
        UserError: the profile is sure to need more memory than there is.
    """
    if host is None:
        return profile, []
    if profile.requests.memory is not None and profile.requests.memory > host.memory:
        raise UserError(
            f"profile '{profile.name}' requests {readable(profile.requests.memory)} of memory,"
            f" this host has {readable(host.memory)}",
            "choose a smaller profile with the run tag slipway/profile, or lower its requests.memory",
        )
    return profile.capped(host.cpu, host.memory)
