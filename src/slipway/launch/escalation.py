"""What becomes of a run that is out of memory: pure decisions, taken when it is launched and frozen on it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slipway import profiles
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.config.quantity import readable
from slipway.launch.adapter import Host
from slipway.launch.frozen import FROZEN_TAG, Escalation, fit
from slipway.memory.exhaustion import STATE_TAG, State
from slipway.profiles import ResolvedProfile

ATTEMPT_TAG = "slipway/oom_retry"
"""On a run that is a retry for want of memory: which one, of how many."""

RETRY_NUMBER_TAG = "dagster/retry_number"
"""Only runs that Dagster's retry machinery made have it; a person's re-execution begins anew."""


Adjust = Callable[[ResolvedProfile], ResolvedProfile]
"""What a run's own tags make of a profile."""


def _as_it_is(profile: ResolvedProfile) -> ResolvedProfile:
    return profile


class NotRetried(Exception):
    """A run that was out of memory cannot be retried; the message is a clause that says why."""


@dataclass(frozen=True)
class Chain:
    """The automatic retries that led to a run."""

    retries: int = 0
    """Of whatever reason."""
    number: int = 0
    """For want of memory."""
    most: int | None = None
    """How many of these there may be; None before the first: the run's own profile says."""


def chain(tags: Mapping[str, str]) -> Chain:
    """What led to a run that has these tags when it is launched."""
    if RETRY_NUMBER_TAG not in tags:
        return Chain()
    parent = json.loads(tags.get(FROZEN_TAG, "{}"))
    retries = parent.get("oom", {}).get("retries", 0) + 1
    attempt = re.fullmatch(r"(\d{1,3}) of (\d{1,3})", tags.get(ATTEMPT_TAG, ""))
    if attempt is None:
        return Chain(retries)
    return Chain(retries, int(attempt[1]), int(attempt[2]))


def renewed(tags: Mapping[str, str]) -> dict[str, str]:
    """What becomes, at a launch, of the tags that a re-execution has copied and that are not true of it."""
    stale = {STATE_TAG: State.UNKNOWN.value} if STATE_TAG in tags else {}
    if ATTEMPT_TAG in tags and RETRY_NUMBER_TAG not in tags:
        stale[ATTEMPT_TAG] = "none"
    return stale


def decide(
    platform: Platform,
    profile: ResolvedProfile,
    host: Host | None,
    before: Chain,
    max_retries: int,
    *,
    adjust: Adjust = _as_it_is,
) -> Escalation:
    """What is done when a run with this profile, fitted to the host, is out of memory.

    Args:
        platform: the platform.
        profile: the run's profile.
        host: where all runs are launched, if that is one machine.
        before: the retries that led to the run.
        max_retries: what `dagster/max_retries` allows. The two do not add up: retries of both kinds together are
            at most the larger of the two numbers.
        adjust: what the run's tags, which a retry has too, make of a profile.
    """
    most = profile.max_oom_retries if before.most is None else before.most
    so_far = Escalation(None, before.number, most, before.retries)
    if not most:
        return so_far
    if before.number >= most:
        return _no(so_far, f"this was retry {before.number} of {most} on a larger profile")
    if profile.on_oom is None:
        return _no(so_far, f"this was retry {before.number} of {most}, and '{profile.name}' has no on_oom")
    if before.retries >= max(max_retries, most):
        return _no(so_far, f"it is not retried on '{profile.on_oom}': it was retried {before.retries} times")
    try:
        larger = successor(platform, profile.on_oom, profile, host, adjust=adjust)
    except NotRetried as error:
        return _no(so_far, f"it is not retried: {error}")
    return Escalation(larger.name, before.number, most, before.retries)


def _no(so_far: Escalation, why: str) -> Escalation:
    return Escalation(None, so_far.number, so_far.most, so_far.retries, why)


def successor(
    platform: Platform,
    name: str,
    profile: ResolvedProfile,
    host: Host | None,
    *,
    adjust: Adjust = _as_it_is,
) -> ResolvedProfile:
    """The profile to retry on, as this host, if it is one, can give it.

    Raises:
        NotRetried: it is gone, cannot be had on this host, or gives no more memory there.
    """
    if name not in profiles.known(platform):
        raise NotRetried(
            f"profile '{name}', the on_oom of '{profile.name}', is not in platform.yaml any more"
        )
    try:
        larger, _ = fit(adjust(profiles.resolve(platform, "", run_tag=name)), host)
    except UserError as error:
        raise NotRetried(error.message) from error
    if larger.limits.memory <= profile.limits.memory:
        raise NotRetried(
            f"profile '{name}', the on_oom of '{profile.name}', gives {readable(larger.limits.memory)} of memory"
            f"{'' if host is None else ' on this host'}, which is no more"
        )
    return larger


def outlook(escalation: Escalation, larger: str | None) -> str:
    """What becomes of a run that is out of memory, as the second half of a sentence.

    Args:
        escalation: what was decided.
        larger: the next larger profile, for a person to choose.
    """
    if escalation.successor is not None:
        so_far = f"this was retry {escalation.number} of {escalation.most}; " if escalation.number else ""
        return f"{so_far}it is retried on profile '{escalation.successor}' (retry {escalation.next_attempt})"
    way_out = (
        f"the next larger profile is '{larger}' (run tag slipway/profile)"
        if larger
        else "no larger profile is defined in platform.yaml"
    )
    return way_out if escalation.why is None else f"{escalation.why}; {way_out}"
