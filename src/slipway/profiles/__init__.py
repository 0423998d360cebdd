"""Which profile a run gets, and what that means. Pure: nothing here reads a clock, a file or an environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slipway.config.errors import UserError
from slipway.config.model import Platform, ResourceProfile
from slipway.config.quantity import parse_bytes, parse_cpu
from slipway.profiles.resolved import Limits, Requests, ResolvedProfile, Source

__all__ = ["Limits", "Requests", "ResolvedProfile", "Source", "known", "resolve"]

DEFAULT = ResourceProfile.model_validate(
    {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
)
"""The profile called `default`, where platform.yaml defines none of that name."""
DEFAULT_SCRATCH = "10Gi"


def known(platform: Platform) -> dict[str, ResourceProfile]:
    """Every profile by name, the implicit `default` included."""
    return {"default": DEFAULT, **platform.infrastructure.resource_profiles}


def resolve(
    platform: Platform,
    location: str,
    run_tag: str | None = None,
    job_tag: str | None = None,
    asset_tags: Sequence[str] = (),
) -> ResolvedProfile:
    """The profile of a run: its own tag, its job's, the largest over its assets', the location's, the platform's.

    Raises:
        UserError: a name that platform.yaml does not define.
    """
    if run_tag is not None:
        return _profile(platform, run_tag, "run", "run tag slipway/profile")
    if job_tag is not None:
        return _profile(platform, job_tag, "job", "job tag slipway/profile")
    if asset_tags:
        return _largest([_profile(platform, tag, "asset", "asset tag slipway/profile") for tag in asset_tags])
    code_location = platform.code_locations.get(location)
    if code_location is not None and code_location.profile is not None:
        return _profile(platform, code_location.profile, "location", f"code_locations.{location}.profile")
    return _profile(platform, platform.defaults.profile, "platform", "defaults.profile")


def _profile(platform: Platform, name: str, source: Source, where: str) -> ResolvedProfile:
    profiles = known(platform)
    if name not in profiles:
        raise UserError(
            f"{where}: there is no resource profile {name!r}", f"known are {', '.join(sorted(profiles))}"
        )
    profile = profiles[name]
    limits = Limits(
        cpu=parse_cpu(profile.limits.cpu or DEFAULT.limits.cpu or "1"),
        memory=parse_bytes(profile.limits.memory or DEFAULT.limits.memory or "1Gi"),
        scratch=parse_bytes(profile.limits.ephemeral_storage or DEFAULT_SCRATCH),
    )
    # as in Kubernetes, a request that is not given is the limit
    requests = Requests(
        cpu=parse_cpu(profile.requests.cpu) if profile.requests.cpu else limits.cpu,
        memory=parse_bytes(profile.requests.memory) if profile.requests.memory else limits.memory,
    )
    return ResolvedProfile(
        name=name, source=source, requests=requests, limits=limits, given=dict(profile.env)
    )


def _largest(profiles: Sequence[ResolvedProfile]) -> ResolvedProfile:
    """Per resource the maximum of each; name and environment are those of the one with the most memory."""
    biggest = max(profiles, key=lambda profile: (profile.limits.memory, profile.limits.cpu, profile.name))
    return replace(
        biggest,
        requests=Requests(
            cpu=max(profile.requests.cpu for profile in profiles),
            memory=max(profile.requests.memory for profile in profiles),
        ),
        limits=Limits(
            cpu=max(profile.limits.cpu for profile in profiles),
            memory=max(profile.limits.memory for profile in profiles),
            scratch=max(profile.limits.scratch for profile in profiles),
        ),
    )
