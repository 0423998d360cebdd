"""The profile of one run, with every number decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, get_args

from slipway.config import quantity
from slipway.profiles import duckdb
from slipway.profiles.duckdb import DuckDBSettings

Source = Literal["run", "job", "asset", "location", "platform"]
"""The rule that decided for a profile."""


@dataclass(frozen=True)
class Requests:
    """What a run is sure to get; None where the profile does not say."""

    cpu: Decimal | None
    """Cores."""
    memory: int | None
    """Bytes."""


@dataclass(frozen=True)
class Limits:
    """What a run may use at most."""

    cpu: Decimal
    """Cores."""
    memory: int
    """Bytes."""
    scratch: int
    """Bytes on disk."""


@dataclass(frozen=True)
class ResolvedProfile:
    """What a run gets, and why."""

    name: str
    source: Source
    requests: Requests
    limits: Limits
    duckdb: DuckDBSettings
    variables: Mapping[str, str]
    """The profile's env without DuckDB's settings."""
    on_oom: str | None = None
    """The profile to retry on when a run is out of memory."""
    max_oom_retries: int = 0
    """How often, counted from the first run that was not a retry."""

    @property
    def is_merged(self) -> bool:
        """Whether it is the largest of several profiles, whose names its own has."""
        return "+" in self.name

    @property
    def env(self) -> dict[str, str]:
        """The whole environment that the profile gives to the run.

        DUCKDB_TEMP_DIRECTORY is in it only where the profile names one: the scratch is the launcher's.
        """
        return {**self.variables, **self.duckdb.environment()}

    def capped(self, host_cpu: Decimal, host_memory: int) -> tuple[ResolvedProfile, list[str]]:
        """The profile with limits that a host has, and a warning for each value that was lowered.

        Args:
            host_cpu: the host's cores.
            host_memory: the host's memory in bytes.

        Raises:
            UserError: the host is too small for any run.
        """
        cpu, memory = min(self.limits.cpu, host_cpu), min(self.limits.memory, host_memory)
        if (cpu, memory) == (self.limits.cpu, self.limits.memory):
            return self, []
        warnings = []
        if cpu < self.limits.cpu:
            warnings.append(
                f"profile '{self.name}': the CPU limit of {quantity.format_cpu(self.limits.cpu)} is more than "
                f"this host's {quantity.format_cpu(host_cpu)}; lowered to that"
            )
        if memory < self.limits.memory:
            warnings.append(
                f"profile '{self.name}': the memory limit of {quantity.readable(self.limits.memory)} is more than "
                f"this host's {quantity.readable(host_memory)}; lowered to that"
            )
        settings, shrunk = duckdb.fitted(self.duckdb, cpu, memory)
        requests = Requests(
            cpu=None if self.requests.cpu is None else min(self.requests.cpu, cpu),
            memory=None if self.requests.memory is None else min(self.requests.memory, memory),
        )
        capped = replace(
            self, requests=requests, limits=replace(self.limits, cpu=cpu, memory=memory), duckdb=settings
        )
        return capped, warnings + [f"profile '{self.name}': {warning}" for warning in shrunk]

    def with_resources(
        self,
        *,
        cpu: Decimal,
        memory: int,
        scratch: int,
        requested_cpu: Decimal | None,
        requested_memory: int | None,
    ) -> tuple[ResolvedProfile, list[str]]:
        """The profile with other amounts, and a warning for each given setting of DuckDB that does not fit them.

        Raises:
            UserError: the memory limit is too small for a run.
        """
        requests, limits = Requests(requested_cpu, requested_memory), Limits(cpu, memory, scratch)
        if limits == self.limits:
            return replace(self, requests=requests), []
        settings, warnings = duckdb.rederived(self.duckdb, cpu, memory, scratch)
        return replace(self, requests=requests, limits=limits, duckdb=settings), [
            f"profile '{self.name}': {warning}" for warning in warnings
        ]

    def tags(self) -> dict[str, str]:
        """The profile as run tags for people: amounts as quantities, DuckDB's in DuckDB's grammar."""
        variables = self.duckdb.environment()
        return {
            "slipway/profile": self.name,
            "slipway/profile_source": self.source,
            "slipway/cpu": quantity.format_cpu(self.limits.cpu),
            "slipway/memory": quantity.format_bytes(self.limits.memory),
            "slipway/scratch": quantity.format_bytes(self.limits.scratch),
            "slipway/duckdb_memory_limit": variables["DUCKDB_MEMORY_LIMIT"],
            "slipway/duckdb_threads": variables["DUCKDB_THREADS"],
        }

    def to_json(self) -> str:
        """The profile whole, as it is frozen on a run."""
        return json.dumps(
            {
                "name": self.name,
                "source": self.source,
                "requests": {"cpu": _text(self.requests.cpu), "memory": self.requests.memory},
                "limits": {
                    "cpu": str(self.limits.cpu),
                    "memory": self.limits.memory,
                    "scratch": self.limits.scratch,
                },
                "duckdb": {**vars(self.duckdb), "given": sorted(self.duckdb.given)},
                "variables": dict(self.variables),
                "on_oom": self.on_oom,
                "max_oom_retries": self.max_oom_retries,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> ResolvedProfile:
        """What `to_json` wrote.

        Raises:
            ValueError: the text is something else.
        """
        try:
            return cls._from_values(json.loads(text))
        except (KeyError, TypeError, ArithmeticError, AttributeError) as error:
            raise ValueError(f"not a frozen profile: {text[:200]!r}") from error

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> ResolvedProfile:
        requests, limits, settings = values["requests"], values["limits"], values["duckdb"]
        if values["source"] not in get_args(Source):
            raise KeyError(values["source"])
        return cls(
            name=values["name"],
            source=values["source"],
            requests=Requests(
                None if requests["cpu"] is None else Decimal(requests["cpu"]), requests["memory"]
            ),
            limits=Limits(Decimal(limits["cpu"]), limits["memory"], limits["scratch"]),
            duckdb=DuckDBSettings(**{**settings, "given": frozenset(settings["given"])}),
            variables=dict(values["variables"]),
            # Earlier versions froze neither.
            on_oom=values.get("on_oom"),
            max_oom_retries=values.get("max_oom_retries", 0),
        )


def _text(cores: Decimal | None) -> str | None:
    return None if cores is None else str(cores)
