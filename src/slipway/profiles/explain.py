"""Says in numbers and words what a profile gives and which rule decided for it; pure, for people and machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slipway.config import duckdb, quantity
from slipway.config.model import Platform
from slipway.profiles.resolved import ResolvedProfile, Source
from slipway.profiles.resolving import Wish

RULES: dict[Source, str] = {
    "run": "tag slipway/profile of the run",
    "job": "tag slipway/profile of the job",
    "asset": "tags slipway/profile of the selected assets, the largest of each resource",
    "location": "code_locations.<name>.profile",
    "platform": "defaults.profile",
}
"""Where each rule looks, the nearest first."""


@dataclass(frozen=True)
class Amount:
    """One resource of a profile; None where the profile does not say, or the resource has none."""

    resource: str
    request: str | None
    limit: str | None


@dataclass(frozen=True)
class Setting:
    """One of DuckDB's settings, and why it is so."""

    name: str
    value: str
    given: bool
    """Whether the profile's env gives it, rather than the limits."""
    why: str


@dataclass(frozen=True)
class Verdict:
    """What one rule asked for, and what became of it."""

    rule: Source
    asks: tuple[str, ...]
    decides: bool
    why: str


def amounts(profile: ResolvedProfile) -> list[Amount]:
    """Requests and limits as quantities."""
    requests, limits = profile.requests, profile.limits
    return [
        Amount(
            "cpu",
            None if requests.cpu is None else quantity.format_cpu(requests.cpu),
            quantity.format_cpu(limits.cpu),
        ),
        Amount(
            "memory",
            None if requests.memory is None else quantity.format_bytes(requests.memory),
            quantity.format_bytes(limits.memory),
        ),
        Amount("scratch", None, quantity.format_bytes(limits.scratch)),
    ]


def settings(profile: ResolvedProfile) -> list[Setting]:
    """DuckDB's settings, with the arithmetic of those that follow from the limits."""
    values = profile.duckdb.environment()
    reasons = {
        "DUCKDB_MEMORY_LIMIT": _memory(profile),
        "DUCKDB_THREADS": f"the whole cores of the CPU limit {quantity.format_cpu(profile.limits.cpu)}, at least 1",
        "DUCKDB_MAX_TEMP_DIRECTORY_SIZE": f"the scratch, {quantity.format_bytes(profile.limits.scratch)}",
        "DUCKDB_PRESERVE_INSERTION_ORDER": "off saves memory",
        "DUCKDB_TEMP_DIRECTORY": "a folder in the run's scratch",
    }
    given = set(profile.duckdb.given)
    if profile.is_merged and profile.duckdb.memory_limit == duckdb.derived(profile.limits.memory):
        # One of them gives less than the limits of all together do.
        given.discard("DUCKDB_MEMORY_LIMIT")
    return [
        Setting(
            name.removeprefix("DUCKDB_").lower(),
            values.get(name, "<scratch>/duckdb"),
            name in given,
            f"given in the profile's env{_room(profile, name)}" if name in given else why,
        )
        for name, why in reasons.items()
    ]


def out_of_memory(profile: ResolvedProfile) -> str:
    """What follows when a run with this profile is out of memory, as far as the profile decides."""
    if profile.on_oom is None or not profile.max_oom_retries:
        return "the run fails, and is not retried"
    times = (
        "once"
        if profile.max_oom_retries == 1
        else f"and on its own on_oom, {profile.max_oom_retries} times in all"
    )
    return f"the run fails, and is retried on '{profile.on_oom}', {times}"


def verdicts(wishes: Sequence[Wish]) -> list[Verdict]:
    """What became of each rule's wish; `wishes` are all of them, the nearest first."""
    decisive = next(wish for wish in wishes if wish.names)
    found = []
    for wish in wishes:
        if wish is decisive:
            why = "decides" if len(wish.names) == 1 else "decides: the largest of each resource"
        elif not wish.names:
            why = "asks for nothing"
        else:
            why = f"not asked, since '{decisive.source}' is nearer"
        found.append(Verdict(wish.source, wish.names, wish is decisive, why))
    return found


def users(platform: Platform) -> dict[str, list[str]]:
    """Who names each profile in platform.yaml; jobs, assets and runs can name one too."""
    found: dict[str, list[str]] = {platform.defaults.profile: ["defaults"]}
    for name, location in platform.code_locations.items():
        if location.profile is not None:
            found.setdefault(location.profile, []).append(name)
        else:
            found[platform.defaults.profile].append(f"{name} (by default)")
    return found


def as_json(profile: ResolvedProfile) -> dict[str, Any]:
    """The numbers of a profile for machines: quantities, sizes as DuckDB writes them."""
    return {
        "name": profile.name,
        "requests": {one.resource: one.request for one in amounts(profile) if one.resource != "scratch"},
        "limits": {one.resource: one.limit for one in amounts(profile)},
        "duckdb": {
            one.name: {"value": one.value, "given": one.given, "why": one.why} for one in settings(profile)
        },
        "env": dict(profile.variables),
        "on_oom": profile.on_oom,
        "max_oom_retries": profile.max_oom_retries,
    }


def _memory(profile: ResolvedProfile) -> str:
    memory, value = profile.limits.memory, profile.duckdb.memory_limit
    share = memory * duckdb.LIMIT_PERCENT // 100 // duckdb.MIB * duckdb.MIB
    text = (
        f"the smaller of {duckdb.LIMIT_PERCENT} % of {duckdb.mebibytes(memory)} = {duckdb.mebibytes(share)}"
        f" and {duckdb.arithmetic(memory)}"
    )
    if value == duckdb.derived(memory):
        return text
    return f"that of one of the profiles {profile.name}; the limits would give {text}"


def _room(profile: ResolvedProfile, name: str) -> str:
    if name != "DUCKDB_MEMORY_LIMIT":
        return ""
    memory = profile.limits.memory
    return (
        f"; the limits would give {duckdb.mebibytes(duckdb.derived(memory))}, and the most that fits is"
        f" {duckdb.arithmetic(memory)}"
    )
