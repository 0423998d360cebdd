"""The profile of one run: resolved from platform.yaml, fitted to a host, frozen on the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from slipway.config.quantity import format_bytes, format_cpu
from slipway.profiles import duckdb

Source = Literal["run", "job", "asset", "location", "platform"]

MEMORY_LIMIT = "DUCKDB_MEMORY_LIMIT"
THREADS = "DUCKDB_THREADS"
SCRATCH_SIZE = "DUCKDB_MAX_TEMP_DIRECTORY_SIZE"
INSERTION_ORDER = "DUCKDB_PRESERVE_INSERTION_ORDER"


@dataclass(frozen=True)
class Requests:
    """What a run is sure to get: cores, bytes."""

    cpu: Decimal
    memory: int


@dataclass(frozen=True)
class Limits:
    """What a run may use at most: cores, bytes of memory, bytes of scratch."""

    cpu: Decimal
    memory: int
    scratch: int


@dataclass(frozen=True)
class ResolvedProfile:
    """A profile with every amount known."""

    name: str
    source: Source
    """Which rule chose it."""
    requests: Requests
    limits: Limits
    given: Mapping[str, str]
    """The environment that the profile gives itself."""

    @property
    def env(self) -> dict[str, str]:
        """The run's environment: DuckDB's settings as derived from the limits, replaced by what is given."""
        return {**self.derived(), **self.given}

    def derived(self) -> dict[str, str]:
        """DuckDB's settings from the limits alone."""
        return {
            MEMORY_LIMIT: duckdb.format_size(duckdb.MemoryShare(self.limits.memory).derived),
            THREADS: str(duckdb.threads(self.limits.cpu)),
            SCRATCH_SIZE: duckdb.format_size(self.limits.scratch),
            INSERTION_ORDER: "false",
        }

    def capped(self, host_cpu: Decimal | float, host_memory: int) -> tuple[ResolvedProfile, list[str]]:
        """The profile as a host of so many cores and bytes can hold it, and a warning for each amount that shrank.

        DuckDB's settings shrink with the limits, given ones too.
        """
        host_cpu = Decimal(str(host_cpu))
        limits = replace(
            self.limits, cpu=min(self.limits.cpu, host_cpu), memory=min(self.limits.memory, host_memory)
        )
        warnings = []
        if limits.cpu < self.limits.cpu:
            warnings.append(
                f"CPU limit {format_cpu(self.limits.cpu)} is above the host's {format_cpu(host_cpu)}; capped"
            )
        if limits.memory < self.limits.memory:
            warnings.append(
                f"memory limit {format_bytes(self.limits.memory)} is above the host's"
                f" {host_memory // duckdb.MIB}Mi; capped"
            )
        requests = Requests(
            cpu=min(self.requests.cpu, limits.cpu), memory=min(self.requests.memory, limits.memory)
        )
        fitted = replace(self, limits=limits, requests=requests)
        given, shrunk = fitted._fit_given()
        return replace(fitted, given=given), warnings + shrunk

    def _fit_given(self) -> tuple[dict[str, str], list[str]]:
        given, warnings = dict(self.given), []
        most = {
            MEMORY_LIMIT: duckdb.MemoryShare(self.limits.memory).most,
            SCRATCH_SIZE: self.limits.scratch,
        }
        for variable, limit in most.items():
            if variable in given and duckdb.parse_size(given[variable]) > limit:
                warnings.append(f"{variable} {given[variable]} does not fit; {duckdb.format_size(limit)}")
                given[variable] = duckdb.format_size(limit)
        cores = duckdb.threads(self.limits.cpu)
        if given.get(THREADS, "").isdigit() and int(given[THREADS]) > cores:
            warnings.append(f"{THREADS} {given[THREADS]} is above the CPU limit; {cores}")
            given[THREADS] = str(cores)
        return given, warnings

    def tags(self) -> dict[str, str]:
        """What a person wants to see of it on a run."""
        env = self.env
        return {
            "slipway/profile": self.name,
            "slipway/profile_source": self.source,
            "slipway/cpu": format_cpu(self.limits.cpu),
            "slipway/memory": format_bytes(self.limits.memory),
            "slipway/scratch": format_bytes(self.limits.scratch),
            "slipway/duckdb_memory_limit": env[MEMORY_LIMIT],
            "slipway/duckdb_threads": env[THREADS],
        }

    def to_json(self) -> str:
        """The profile as text that `from_json` reads."""
        return json.dumps(
            {
                "name": self.name,
                "source": self.source,
                "requests": {"cpu": str(self.requests.cpu), "memory": self.requests.memory},
                "limits": {
                    "cpu": str(self.limits.cpu),
                    "memory": self.limits.memory,
                    "scratch": self.limits.scratch,
                },
                "given": dict(self.given),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> ResolvedProfile:
        """The profile that `to_json` wrote."""
        value = json.loads(text)
        requests, limits = value["requests"], value["limits"]
        return cls(
            name=value["name"],
            source=value["source"],
            requests=Requests(cpu=Decimal(requests["cpu"]), memory=requests["memory"]),
            limits=Limits(cpu=Decimal(limits["cpu"]), memory=limits["memory"], scratch=limits["scratch"]),
            given=value["given"],
        )
