"""Which profile a run gets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from slipway.config import quantity
from slipway.config.checks import effective_cpu, effective_memory, effective_scratch
from slipway.config.errors import UserError
from slipway.config.model import DEFAULT_PROFILE, Platform, ResourceProfile
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
    if run_tag is not None:
        return _named(platform, run_tag, "run")
    if job_tag is not None:
        return _named(platform, job_tag, "job")
    if names := sorted(set(asset_tags)):
        return largest([_named(platform, name, "asset") for name in names])
    code = platform.code_locations.get(location)
    if code is not None and code.profile is not None:
        return _named(platform, code.profile, "location")
    return _named(platform, platform.defaults.profile, "platform")


def largest(profiles: list[ResolvedProfile]) -> ResolvedProfile:
    """The maximum of each resource. Variables are joined; where they differ, the larger memory limit decides."""
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
    )
    if (merged.requests, merged.limits, merged.env) == (biggest.requests, biggest.limits, biggest.env):
        return biggest
    return merged


def _named(platform: Platform, name: str, source: Source) -> ResolvedProfile:
    profiles = {"default": DEFAULT_PROFILE, **platform.infrastructure.resource_profiles}
    if name not in profiles:
        close = difflib.get_close_matches(name, profiles, n=1, cutoff=0.6)
        known = ", ".join(sorted(profiles))
        meant = f"did you mean '{close[0]}'? " if close else ""
        raise UserError(
            f"there is no resource profile '{name}', which {_ASKED[source]} asks for",
            f"{meant}platform.yaml has: {known}",
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
    return ResolvedProfile(name, source, requests, limits, settings, variables)
