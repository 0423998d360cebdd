"""What `slipway profile` tells: numbers as a run on this host would get them, and the rules that lead there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway import profiles
from slipway.config import quantity
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.launch import frozen, selection
from slipway.launch.adapter import Host
from slipway.launch.selection import Wishes
from slipway.ops.results import Result, as_table
from slipway.profiles import ResolvedProfile, explain
from slipway.profiles.explain import Verdict


@dataclass(frozen=True)
class Numbers:
    """A profile fitted to a host, as a launch fits it."""

    profile: ResolvedProfile
    host: Host | None = None
    warnings: Sequence[str] = ()

    def lines(self) -> Iterator[str]:
        """For people."""
        rows: list[tuple[Any, ...]] = [
            (one.resource, one.request or "-", one.limit or "-") for one in explain.amounts(self.profile)
        ]
        yield from _table(["resource", "request", "limit"], rows)
        yield ""
        rows = [(one.name, one.value, one.why) for one in explain.settings(self.profile)]
        yield from _table(["DuckDB", "value", "why"], rows)
        if self.profile.variables:
            yield ""
            yield from (f"env {name}={value}" for name, value in sorted(self.profile.variables.items()))
        yield ""
        yield f"out of memory: {explain.out_of_memory(self.profile)}"
        if self.host is not None:
            yield (
                f"this host has {quantity.format_cpu(self.host.cpu)} cores and {quantity.readable(self.host.memory)}"
                f"{'' if self.warnings else ': nothing is lowered'}"
            )
        yield from (f"warning: {warning}" for warning in self.warnings)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        host = self.host
        return {
            "profile": explain.as_json(self.profile),
            "host": None
            if host is None
            else {"cpu": quantity.format_cpu(host.cpu), "memory": quantity.format_bytes(host.memory)},
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Choice:
    """The profile that a run would get, and what each rule asked for."""

    profile: ResolvedProfile
    verdicts: Sequence[Verdict]
    askers: Mapping[str, Sequence[str]]
    """Which assets ask for a profile, by its name."""

    def lines(self) -> Iterator[str]:
        """For people."""
        rows = [(verdict.rule, self._asked(verdict), verdict.why) for verdict in self.verdicts]
        yield from _table(["rule", "asks for", "verdict"], rows)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "rule": self.profile.source,
            "rules": [{**vars(verdict), "asks": list(verdict.asks)} for verdict in self.verdicts],
            "assets": {name: list(keys) for name, keys in self.askers.items()},
        }

    def _asked(self, verdict: Verdict) -> str:
        if verdict.rule != "asset":
            return ", ".join(verdict.asks) or "-"
        return ", ".join(f"{name} ({', '.join(self.askers[name])})" for name in verdict.asks) or "-"


def choose(platform: Platform, location: str, own: str | None, wished: Wishes) -> Choice:
    """What the launcher would choose for a run whose own tag names the profile `own`.

    Raises:
        UserError: a profile that is asked for does not exist, or is too small for a run.
    """
    askers: dict[str, list[str]] = {}
    for key, asked in sorted(wished.assets.items()):
        askers.setdefault(asked, []).append(key.to_user_string())
    return Choice(
        selection.choose(platform, location, own, wished),
        explain.verdicts(selection.rules(platform, location, own, wished)),
        askers,
    )


def fit(profile: ResolvedProfile, host: Host | None) -> Numbers:
    """The profile as this host would give it; one that it would refuse stays as it is, with the refusal."""
    if host is None:
        return Numbers(profile)
    try:
        fitted, warnings = frozen.fit(profile, host)
    except UserError as error:
        return Numbers(profile, host, [f"a run would be refused: {error.message}"])
    return Numbers(fitted, host, warnings)


def differences(platform: Platform, given: ResolvedProfile, host: Host | None) -> str:
    """What platform.yaml says by now of a profile that was given to a run; empty where it is the same."""
    names = given.name.split("+")
    missing = [name for name in names if name not in profiles.known(platform)]
    if missing:
        return f"there is no profile '{missing[0]}' any more"
    current = fit(profiles.resolve(platform, "", asset_tags=names), host).profile
    before = {one.resource: one.limit for one in explain.amounts(given)}
    after = {one.resource: one.limit for one in explain.amounts(current)}
    changed = [f"{name} {after[name]}" for name in before if before[name] != after[name]]
    return f"'{given.name}' has {', '.join(changed)}" if changed else ""


def _table(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[str]:
    return as_table(Result(columns, rows)).splitlines()[:-1]
