"""Checks between keys. Each looks only at what it needs, so a mistake elsewhere hides none of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

from slipway.config import duckdb, duckdb_file, kubernetes_checks, quantity
from slipway.config.base import OWN_VARIABLES, Limits, Resources
from slipway.config.errors import Path
from slipway.config.findings import Finding, at, entries, nearest, valid
from slipway.config.model import SCRATCH_FACTOR, ComputeLogs, Lake, Postgres, Storage

RESERVED_NAMES = ("main", "memory", "system", "temp")
"""DuckDB's own databases: a lake is attached under its location's name, a file under its own."""


DEFAULT_CPU = Decimal(1)
DEFAULT_MEMORY = 2**30
"""Limits in cores and bytes where a profile gives none and requests no more."""


def all_checks(data: Any) -> list[Finding]:
    """Every check over plain values, of whatever shape they are."""
    return [
        *_profiles(data),
        *_profile_names(data),
        *_successors(data),
        *_storage_names(data),
        *_postgres(data),
        *_storages(data),
        *_locations(data),
        *_folders(data),
        *_concurrency(data),
        *kubernetes_checks.all_checks(data),
    ]


# Profiles


def _profiles(data: Any) -> Iterator[Finding]:
    for name, raw in entries(data, "infrastructure", "resource_profiles"):
        path: Path = ("infrastructure", "resource_profiles", name)
        for finding in profile_findings(raw):
            yield Finding((*path, *finding.path), finding.message, finding.hint)


def profile_findings(raw: Any) -> Iterator[Finding]:
    """What is wrong inside one profile, by keys relative to it."""
    requests = valid(Resources, at(raw, "requests") or {})
    limits = valid(Limits, at(raw, "limits") or {})
    env = dict(entries(raw, "env"))
    yield from _duckdb_names(env)
    yield from _own_variables(env, ("env",))
    yield from _duckdb_values(env)
    if limits is None:
        return
    if limits.cpu is not None and quantity.parse_cpu(limits.cpu) == 0:
        yield Finding(("limits", "cpu"), "no CPU at all", "give at least 100m")
    if requests is None:
        return
    if limits.cpu and requests.cpu and quantity.parse_cpu(limits.cpu) < quantity.parse_cpu(requests.cpu):
        yield _below("cpu", limits.cpu, requests.cpu)
    if (
        limits.memory
        and requests.memory
        and effective_memory(requests, limits) < quantity.parse_bytes(requests.memory)
    ):
        yield _below("memory", limits.memory, requests.memory)
    yield from _duckdb_fit(env, effective_memory(requests, limits), effective_scratch(requests, limits))


def effective_memory(requests: Resources, limits: Limits) -> int:
    """Bytes of a profile's memory limit: the given one, else 1Gi or its request where that is more."""
    if limits.memory is not None:
        return quantity.parse_bytes(limits.memory)
    return max(DEFAULT_MEMORY, quantity.parse_bytes(requests.memory or "0"))


def effective_cpu(requests: Resources, limits: Limits) -> Decimal:
    """Cores of a profile's CPU limit: the given one, else 1 or its request where that is more."""
    if limits.cpu is not None:
        return quantity.parse_cpu(limits.cpu)
    return max(DEFAULT_CPU, quantity.parse_cpu(requests.cpu or "0"))


def effective_scratch(requests: Resources, limits: Limits) -> int:
    """Bytes of a profile's scratch: the given ones, else as many as spilling ten times the memory limit takes."""
    if limits.ephemeral_storage is not None:
        return quantity.parse_bytes(limits.ephemeral_storage)
    return effective_memory(requests, limits) * SCRATCH_FACTOR


def _below(resource: str, limit: str, request: str) -> Finding:
    return Finding(
        ("limits", resource),
        f"{limit} is below the request of {request}",
        f"raise it, or lower requests.{resource}",
    )


def _duckdb_values(env: dict[str, Any]) -> Iterator[Finding]:
    threads = env.get("DUCKDB_THREADS")
    if isinstance(threads, str) and not (threads.isdecimal() and int(threads) >= 1):
        yield Finding(
            ("env", "DUCKDB_THREADS"),
            f"'{threads}' is not a number of threads",
            'write a whole number, "1" or more',
        )
    order = env.get("DUCKDB_PRESERVE_INSERTION_ORDER")
    if isinstance(order, str) and order.lower() not in ("true", "false"):
        yield Finding(
            ("env", "DUCKDB_PRESERVE_INSERTION_ORDER"),
            f"'{order}' is neither true nor false",
            'write "true" or "false"',
        )
    if env.get("DUCKDB_TEMP_DIRECTORY") == "":
        yield Finding(
            ("env", "DUCKDB_TEMP_DIRECTORY"),
            "no folder",
            "name one, or leave it out: the run's scratch is used",
        )


def _duckdb_fit(env: dict[str, Any], memory: int, scratch: int) -> Iterator[Finding]:
    given, spill = env.get("DUCKDB_MEMORY_LIMIT"), env.get("DUCKDB_MAX_TEMP_DIRECTORY_SIZE")
    if duckdb.derived(memory) < duckdb.SMALLEST:
        yield Finding(
            ("limits", "memory"),
            f"leaves DuckDB nothing to work with: {duckdb.arithmetic(memory)}",
            f"give at least {quantity.format_bytes(duckdb.SMALLEST_LIMIT)}; 1Gi is the smallest that sorts and joins",
        )
    elif isinstance(given, str):
        yield from _memory_limit(given, memory)
    if isinstance(spill, str):
        yield from _spill_size(spill, scratch)


def _memory_limit(given: str, memory: int) -> Iterator[Finding]:
    path: Path = ("env", "DUCKDB_MEMORY_LIMIT")
    try:
        size = duckdb.parse_size(given)
    except ValueError as error:
        yield Finding(path, str(error))
        return
    if size < duckdb.SMALLEST:
        yield Finding(
            path,
            f"{given} is too little to work with",
            f"give at least {duckdb.format_size(duckdb.SMALLEST)}",
        )
    elif size > duckdb.ceiling(memory):
        yield Finding(
            path,
            f"{given} = {duckdb.mebibytes(size)} cannot fit limits.memory: {duckdb.arithmetic(memory)}",
            f"give at most {duckdb.format_size(duckdb.ceiling(memory) // duckdb.MIB * duckdb.MIB)}, "
            f"leave it out for {duckdb.format_size(duckdb.derived(memory))}, or raise limits.memory",
        )


def _spill_size(given: str, scratch: int) -> Iterator[Finding]:
    path: Path = ("env", "DUCKDB_MAX_TEMP_DIRECTORY_SIZE")
    try:
        size = duckdb.parse_size(given)
    except ValueError as error:
        yield Finding(path, str(error))
        return
    if size > scratch:
        yield Finding(
            path,
            f"{given} = {duckdb.mebibytes(size)} cannot fit limits.ephemeral-storage, "
            f"{quantity.format_bytes(scratch)} = {duckdb.mebibytes(scratch)}",
            "leave it out, or raise limits.ephemeral-storage",
        )


def _duckdb_names(env: dict[str, Any]) -> Iterator[Finding]:
    for name in env:
        if name.startswith("DUCKDB") and name not in duckdb.VARIABLES:
            close = difflib.get_close_matches(name, duckdb.VARIABLES, n=1, cutoff=0.8)
            if close:
                yield Finding(("env", name), "no setting of DuckDB's", f"did you mean '{close[0]}'?")


def _own_variables(env: dict[str, Any], path: Path) -> Iterator[Finding]:
    for name in env:
        if name.startswith(OWN_VARIABLES):
            yield Finding((*path, name), "the platform sets this itself", "choose another name")


# Names that refer to others


def _profile_names(data: Any) -> Iterator[Finding]:
    known = {"default", *(name for name, _ in entries(data, "infrastructure", "resource_profiles"))}
    places: list[tuple[Path, Any]] = [(("defaults", "profile"), at(data, "defaults", "profile"))]
    places += [
        (("code_locations", name, "profile"), at(raw, "profile"))
        for name, raw in entries(data, "code_locations")
    ]
    for path, name in places:
        if isinstance(name, str) and name not in known:
            yield Finding(path, f"there is no resource profile '{name}'", nearest(name, known))


def _successors(data: Any) -> Iterator[Finding]:
    """Each on_oom has more memory than the profile itself, so no chain of them comes back to its beginning."""
    given = dict(entries(data, "infrastructure", "resource_profiles"))
    memory = {"default": DEFAULT_MEMORY, **{name: _memory_of(raw) for name, raw in given.items()}}
    for name, raw in given.items():
        path: Path = ("infrastructure", "resource_profiles", name)
        other = at(raw, "on_oom")
        if other is None:
            if at(raw, "max_oom_retries") is not None:
                yield Finding(
                    (*path, "max_oom_retries"),
                    "changes nothing without on_oom",
                    "name the larger profile to retry on in on_oom, or remove it",
                )
        elif isinstance(other, str):
            own, others = memory[name], memory.get(other)
            if other not in memory:
                larger = [
                    one for one, size in memory.items() if one != name and (not own or not size or size > own)
                ]
                yield Finding(
                    (*path, "on_oom"), f"there is no resource profile '{other}'", nearest(other, larger)
                )
            elif other == name:
                yield Finding(
                    (*path, "on_oom"), "is the profile itself", "name one with a larger limits.memory"
                )
            elif own and others and others <= own:
                yield Finding(
                    (*path, "on_oom"),
                    f"'{other}' has {quantity.readable(others)} of memory, and '{name}' {quantity.readable(own)}",
                    "name a profile with a larger limits.memory",
                )


def _memory_of(raw: Any) -> int | None:
    """Bytes of a profile's memory limit; None where it cannot be told, which is another finding."""
    requests, limits = valid(Resources, at(raw, "requests") or {}), valid(Limits, at(raw, "limits") or {})
    return None if requests is None or limits is None else effective_memory(requests, limits)


def _storage_names(data: Any) -> Iterator[Finding]:
    known = {"default", *(name for name, _ in entries(data, "storage"))}
    for path, section in _users_of_storage(data):
        name = at(section, "storage_ref")
        if isinstance(name, str) and name not in known:
            yield Finding((*path, "storage_ref"), f"there is no storage '{name}'", nearest(name, known))


def _users_of_storage(data: Any) -> Iterator[tuple[Path, Any]]:
    yield ("lake",), at(data, "lake")
    yield ("observability", "compute_logs"), at(data, "observability", "compute_logs")
    for name, raw in entries(data, "landing"):
        yield ("landing", name), raw


# Sections whose keys depend on each other


def _postgres(data: Any) -> Iterator[Finding]:
    postgres = valid(Postgres, at(data, "postgres"))
    if postgres is None:
        return
    if postgres.host is None and postgres.bundled is False:
        yield Finding(
            ("postgres", "bundled"), "false, and there is no host", "give the host of your own Postgres"
        )
    if postgres.host is not None and postgres.bundled:
        yield Finding(("postgres", "bundled"), "true, and there is a host", "remove one of the two")
    if postgres.host is None:
        for key in sorted(postgres.model_fields_set - {"bundled", "host"}):
            yield Finding(
                ("postgres", key), "changes nothing on the bundled Postgres", "give a host too, or remove it"
            )
    elif postgres.password is not None and postgres.user is None:
        yield Finding(("postgres", "password"), "without a user", "give postgres.user")


def _storages(data: Any) -> Iterator[Finding]:
    for name, raw in entries(data, "storage"):
        storage = valid(Storage, raw)
        if storage is None:
            continue
        path: Path = ("storage", name)
        if storage.bundled:
            for key in sorted(storage.model_fields_set - {"bundled", "region"}):
                yield Finding(
                    (*path, key),
                    "the bundled S3 brings its own",
                    "remove it, or bundled: true if the S3 is yours",
                )
        elif (storage.access_key_id is None) != (storage.secret_access_key is None):
            given, missing = ("access_key_id", "secret_access_key")
            if storage.access_key_id is None:
                given, missing = missing, given
            yield Finding(
                (*path, given), f"without {missing}", "give both, or neither for the ambient credentials"
            )


def _locations(data: Any) -> Iterator[Finding]:
    for name, raw in entries(data, "code_locations"):
        path: Path = ("code_locations", name)
        if name in RESERVED_NAMES:
            yield Finding(
                path, f"'{name}' is a database of DuckDB's own", f"choose another name, such as {name}_data"
            )
        file = at(raw, "duckdb_file")
        if isinstance(file, str) and file.partition(".")[0].lower() in RESERVED_NAMES:
            database, _, ending = file.partition(".")
            yield Finding(
                (*path, "duckdb_file"),
                f"'{database}' is a database of DuckDB's own",
                f"choose another name, such as {database}_data.{ending}",
            )
        env = dict(entries(raw, "env"))
        yield from _own_variables(env, (*path, "env"))
        for variable in env:
            if variable in duckdb.VARIABLES:
                yield Finding(
                    (*path, "env", variable),
                    "the run's resource profile decides this",
                    "put it into a profile's env, and name the profile here",
                )


def missing_folders(data: Any, base: FilePath) -> Iterator[Finding]:
    """Folders of code locations that do not exist, relative to the folder of platform.yaml."""
    for name, raw in entries(data, "code_locations"):
        folder = at(raw, "path")
        if isinstance(folder, str) and folder and not (base / folder).is_dir():
            near = (base / folder).parent
            siblings = [one.name for one in near.iterdir() if one.is_dir()] if near.is_dir() else []
            close = difflib.get_close_matches(FilePath(folder).name, siblings, n=1, cutoff=0.6)
            hint = (
                f"did you mean '{FilePath(folder).parent / close[0]}'?"
                if close
                else "it is relative to platform.yaml"
            )
            yield Finding(("code_locations", name, "path"), f"there is no folder '{folder}'", hint)


_FOLDER_DEFAULTS: dict[Path, tuple[str, str]] = {
    ("lake",): (Lake().bucket, Lake().prefix),
    ("observability", "compute_logs"): (ComputeLogs().bucket, ComputeLogs().prefix),
}


def _folders(data: Any) -> Iterator[Finding]:
    """Files of one part of the platform must not land in, or be deleted by, another."""
    seen: list[tuple[Path, str, str, str]] = []
    for path, raw in _users_of_storage(data):
        bucket_default, prefix_default = _FOLDER_DEFAULTS.get(path, ("", ""))
        section = raw if isinstance(raw, dict) else {}
        storage = section.get("storage_ref", "default")
        bucket = section.get("bucket", bucket_default)
        prefix = section.get("prefix", prefix_default)
        if not (isinstance(storage, str) and isinstance(bucket, str) and bucket and isinstance(prefix, str)):
            continue
        for other_path, *other in seen:
            if other[:2] == [storage, bucket] and (
                prefix.startswith(other[2]) or other[2].startswith(prefix)
            ):
                yield Finding(
                    path,
                    f"s3://{bucket}/{prefix} and {'.'.join(map(str, other_path))}'s s3://{bucket}/{other[2]} overlap",
                    "give each a bucket or prefix of its own",
                )
        seen.append((path, storage, bucket, prefix))


# Limits of what runs at once


def _concurrency(data: Any) -> Iterator[Finding]:
    """Every limit limits something. A DuckDB file is open in one process at a time, so its pool is no setting."""
    files = {
        duckdb_file.pool(name): name
        for name, raw in entries(data, "code_locations")
        if at(raw, "duckdb_file") is not None
    }
    for key, raw in entries(data, "concurrency", "tags"):
        if raw in ({}, {"values": {}}):
            yield Finding(
                ("concurrency", "tags", key),
                "limits nothing",
                "give limit, each_value or values, or remove it",
            )
    for pool, _ in entries(data, "concurrency", "pools"):
        if pool in files:
            yield Finding(
                ("concurrency", "pools", pool),
                f"the pool of the DuckDB file of '{files[pool]}', which one process opens at a time",
                "remove it: its limit is one",
            )
