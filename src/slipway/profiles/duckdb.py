"""DuckDB's settings from a run's limits. DuckDB itself reads no environment; `slipway.resources` applies it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from slipway.config import duckdb
from slipway.config.errors import UserError


@dataclass(frozen=True)
class DuckDBSettings:
    """What a run's DuckDB may use. `given` names the settings that a profile's env gives."""

    memory_limit: int
    """Bytes."""
    threads: int
    max_temp_directory_size: int
    """Bytes of the scratch that it may spill into."""
    preserve_insertion_order: bool
    temp_directory: str | None = None
    """None: the launcher chooses a folder in the run's scratch."""
    given: frozenset[str] = frozenset()

    def environment(self) -> dict[str, str]:
        """The settings as DUCKDB_* variables, sizes in DuckDB's grammar."""
        variables = {
            "DUCKDB_MEMORY_LIMIT": duckdb.format_size(self.memory_limit),
            "DUCKDB_THREADS": str(self.threads),
            "DUCKDB_MAX_TEMP_DIRECTORY_SIZE": duckdb.format_size(self.max_temp_directory_size),
            "DUCKDB_PRESERVE_INSERTION_ORDER": str(self.preserve_insertion_order).lower(),
        }
        if self.temp_directory is not None:
            variables["DUCKDB_TEMP_DIRECTORY"] = self.temp_directory
        return variables


def whole_cores(cpu: Decimal) -> int:
    """Threads for a CPU limit: its whole cores, at least one."""
    return max(1, int(cpu))


def settings(cpu: Decimal, memory: int, scratch: int, env: Mapping[str, str]) -> DuckDBSettings:
    """The settings under limits in cores and bytes; DUCKDB_* values of the environment go before derived ones.

    Raises:
        UserError: the memory limit is too small for a run.
    """
    given = frozenset(name for name in env if name.startswith("DUCKDB_"))
    memory_limit = _enough(memory)
    if "DUCKDB_MEMORY_LIMIT" in env:
        memory_limit = duckdb.parse_size(env["DUCKDB_MEMORY_LIMIT"])
    max_temp = scratch
    if "DUCKDB_MAX_TEMP_DIRECTORY_SIZE" in env:
        max_temp = duckdb.parse_size(env["DUCKDB_MAX_TEMP_DIRECTORY_SIZE"])
    return DuckDBSettings(
        memory_limit=memory_limit,
        threads=int(env.get("DUCKDB_THREADS", whole_cores(cpu))),
        max_temp_directory_size=max_temp,
        preserve_insertion_order=env.get("DUCKDB_PRESERVE_INSERTION_ORDER", "false").lower() == "true",
        temp_directory=env.get("DUCKDB_TEMP_DIRECTORY"),
        given=given,
    )


def fitted(before: DuckDBSettings, cpu: Decimal, memory: int) -> tuple[DuckDBSettings, list[str]]:
    """The settings under lowered limits, and a warning for each given one that had to shrink.

    A given memory limit that still fits stays; one that does not becomes the derived one.

    Raises:
        UserError: the memory limit is too small for a run.
    """
    warnings = []
    memory_limit, threads = min(before.memory_limit, _enough(memory)), min(before.threads, whole_cores(cpu))
    if "DUCKDB_MEMORY_LIMIT" in before.given:
        if before.memory_limit <= duckdb.ceiling(memory):
            memory_limit = before.memory_limit
        else:
            warnings.append(
                f"DUCKDB_MEMORY_LIMIT {duckdb.mebibytes(before.memory_limit)} does not fit "
                f"({duckdb.arithmetic(memory)}): lowered to {duckdb.mebibytes(memory_limit)}"
            )
    if "DUCKDB_THREADS" in before.given and threads < before.threads:
        warnings.append(f"DUCKDB_THREADS {before.threads} is more than the cores: lowered to {threads}")
    return replace(before, memory_limit=memory_limit, threads=threads), warnings


def rederived(
    before: DuckDBSettings, cpu: Decimal, memory: int, scratch: int
) -> tuple[DuckDBSettings, list[str]]:
    """The settings under limits that are lower or higher, and a warning for each given one that had to shrink.

    Raises:
        UserError: the memory limit is too small for a run.
    """
    given = {name: value for name, value in before.environment().items() if name in before.given}
    after, warnings = fitted(settings(cpu, memory, scratch, given), cpu, memory)
    if after.max_temp_directory_size > scratch:
        warnings.append(
            f"DUCKDB_MAX_TEMP_DIRECTORY_SIZE {duckdb.mebibytes(after.max_temp_directory_size)} is more than "
            f"the scratch: lowered to {duckdb.mebibytes(scratch)}"
        )
    return replace(after, max_temp_directory_size=min(after.max_temp_directory_size, scratch)), warnings


def largest(several: list[DuckDBSettings]) -> DuckDBSettings:
    """The maximum of each setting; folder and order of rows as the last one that cares has them."""
    folders = [one.temp_directory for one in several if one.temp_directory is not None]
    return DuckDBSettings(
        memory_limit=max(one.memory_limit for one in several),
        threads=max(one.threads for one in several),
        max_temp_directory_size=max(one.max_temp_directory_size for one in several),
        preserve_insertion_order=any(one.preserve_insertion_order for one in several),
        temp_directory=folders[-1] if folders else None,
        given=frozenset().union(*(one.given for one in several)),
    )


def _enough(memory: int) -> int:
    derived = duckdb.derived(memory)
    if derived < duckdb.SMALLEST:
        raise UserError(
            f"a memory limit of {duckdb.mebibytes(memory)} leaves DuckDB nothing to work with: "
            f"{duckdb.arithmetic(memory)}",
            f"a run needs at least {duckdb.mebibytes(duckdb.SMALLEST_LIMIT)}",
        )
    return derived
