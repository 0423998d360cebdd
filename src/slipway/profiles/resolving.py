"""Which profile a run gets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from slipway.config import quantity
from slipway.config.checks import effective_cpu, effective_memory, effective_scratch
from slipway.config.errors import UserError
from slipway.config.model import (
    DEFAULT_OOM_RETRIES,
    DEFAULT_PROFILE,
    Platform,
    ResourceProfile,
)
from slipway.profiles import duckdb
from slipway.profiles.resolved import Limits, Requests, ResolvedProfile, Source


def resolve(
    platform: Platform,
    location: str,
    run_tag: str | None = None,
    job_tag: str | None = None,
    asset_tags: Iterable[str] = (),
) -> ResolvedProfile:
    """The profile of a run: the run's own, else its job's, its assets' largest, its location's, the platform's.

    Args:
        platform: the platform.
        location: name of the run's code location.
        run_tag: profile that the run's tag names.
        job_tag: profile that the job's tag names.
        asset_tags: profiles that the tags of the selected assets name.

    Raises:
        UserError: a named profile does not exist, or is too small for a run.
    """
    decisive = next(wish for wish in wishes(platform, location, run_tag, job_tag, asset_tags) if wish.names)
    return largest([_named(platform, name, decisive.source) for name in decisive.names])


@dataclass(frozen=True)
class Wish:
    """What one rule asks for; the first with a name decides."""

    source: Source
    names: tuple[str, ...]
    """Several only for assets, of which the largest counts."""


def wishes(
    platform: Platform,
    location: str,
    run_tag: str | None = None,
    job_tag: str | None = None,
    asset_tags: Iterable[str] = (),
) -> list[Wish]:
    """What each rule asks for, the nearest first, in the terms of `resolve`. The last always names a profile."""
    code = platform.code_locations.get(location)
    return [
        Wish("run", _some(run_tag)),
        Wish("job", _some(job_tag)),
        Wish("asset", tuple(sorted(set(asset_tags)))),
        Wish("location", _some(None if code is None else code.profile)),
        Wish("platform", (platform.defaults.profile,)),
    ]


def _some(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)


def largest(profiles: list[ResolvedProfile]) -> ResolvedProfile:
    """The maximum of each resource. Variables are joined; where they differ, the larger memory limit decides.

    It decides too what follows when the run is out of memory: the others' on_oom need be no larger.
    """
    ordered = sorted(profiles, key=lambda one: (one.limits.memory, one.limits.cpu, one.name))
    biggest = ordered[-1]
    merged = ResolvedProfile(
        name="+".join(sorted(one.name for one in ordered)),
        source=biggest.source,
        requests=Requests(
            cpu=max((one.requests.cpu for one in ordered if one.requests.cpu is not None), default=None),
            memory=max(
                (one.requests.memory for one in ordered if one.requests.memory is not None), default=None
            ),
        ),
        limits=Limits(
            cpu=max(one.limits.cpu for one in ordered),
            memory=max(one.limits.memory for one in ordered),
            scratch=max(one.limits.scratch for one in ordered),
        ),
        duckdb=duckdb.largest([one.duckdb for one in ordered]),
        variables={name: value for one in ordered for name, value in one.variables.items()},
        on_oom=biggest.on_oom,
        max_oom_retries=biggest.max_oom_retries,
    )
    if (merged.requests, merged.limits, merged.env) == (biggest.requests, biggest.limits, biggest.env):
        return biggest
    return merged


def known(platform: Platform) -> dict[str, ResourceProfile]:
    """Every profile of a platform by name, with the one that exists unless it is given."""
    return {"default": DEFAULT_PROFILE, **platform.infrastructure.resource_profiles}


def _named(platform: Platform, name: str, source: Source) -> ResolvedProfile:
    profiles = known(platform)
    if name not in profiles:
        close = difflib.get_close_matches(name, profiles, n=1, cutoff=0.6)
        names = ", ".join(sorted(profiles))
        meant = f"did you mean '{close[0]}'? " if close else ""
        raise UserError(
            f"there is no resource profile '{name}', which {_ASKED[source]} asks for",
            f"{meant}platform.yaml has: {names}",
        )
    return _decided(profiles[name], name, source)


_ASKED: dict[Source, str] = {
    "run": "the run's tag slipway/profile",
    "job": "the job's tag slipway/profile",
    "asset": "an asset's tag slipway/profile",
    "location": "the code location",
    "platform": "defaults.profile",
}


def _decided(profile: ResourceProfile, name: str, source: Source) -> ResolvedProfile:
    requests = Requests(
        cpu=None if profile.requests.cpu is None else quantity.parse_cpu(profile.requests.cpu),
        memory=None if profile.requests.memory is None else quantity.parse_bytes(profile.requests.memory),
    )
    limits = Limits(
        cpu=effective_cpu(profile.requests, profile.limits),
        memory=effective_memory(profile.requests, profile.limits),
        scratch=effective_scratch(profile.requests, profile.limits),
    )
    try:
        settings = duckdb.settings(limits.cpu, limits.memory, limits.scratch, profile.env)
    except UserError as error:
        raise UserError(f"resource profile '{name}': {error.message}", error.hint) from error
    variables = {key: value for key, value in profile.env.items() if key not in settings.environment()}
    return ResolvedProfile(
        name,
        source,
        requests,
        limits,
        settings,
        variables,
        on_oom=profile.on_oom,
        max_oom_retries=_oom_retries(profile),
    )


def _oom_retries(profile: ResourceProfile) -> int:
    if profile.on_oom is None:
        return 0
    return DEFAULT_OOM_RETRIES if profile.max_oom_retries is None else profile.max_oom_retries
