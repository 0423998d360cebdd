from decimal import Decimal

import pytest

from slipway import profiles
from slipway.config import duckdb
from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.profiles import ResolvedProfile

MIB = 2**20
GIB = 2**30


def profile(text: str) -> ResolvedProfile:
    platform = parse(f"infrastructure: {{resource_profiles: {{p: {{{text}}}}}}}", "platform.yaml")
    return profiles.resolve(platform, "shop", run_tag="p")


SEED = profile(
    "requests: {cpu: 1000m, memory: 4Gi}, limits: {cpu: 8000m, memory: 12Gi}, "
    "env: {DUCKDB_MEMORY_LIMIT: 8GB, DUCKDB_THREADS: '4', DUCKDB_TEMP_DIRECTORY: /tmp/duckdb}"
)


def test_a_host_that_is_large_enough_changes_nothing() -> None:
    assert SEED.capped(Decimal(8), 12 * GIB) == (SEED, [])


def test_the_reference_profile_on_a_small_host() -> None:
    capped, warnings = SEED.capped(Decimal(2), 8 * GIB)
    assert (capped.limits.cpu, capped.limits.memory, capped.limits.scratch) == (2, 8 * GIB, 240 * GIB)
    assert (capped.requests.cpu, capped.requests.memory) == (1, 4 * GIB)
    assert capped.env["DUCKDB_MEMORY_LIMIT"] == "4505MiB"
    assert capped.env["DUCKDB_THREADS"] == "2"
    assert capped.env["DUCKDB_TEMP_DIRECTORY"] == "/tmp/duckdb"
    assert warnings == [
        "profile 'p': the CPU limit of 8 is more than this host's 2; lowered to that",
        "profile 'p': the memory limit of 12 GiB is more than this host's 8 GiB; lowered to that",
        "profile 'p': DUCKDB_MEMORY_LIMIT 7629 MiB does not fit (8192 MiB - 256 MiB for the process - 1638 MiB for "
        "Python's heap (20 %, at least 256 MiB) = 6298 MiB): lowered to 4505 MiB",
        "profile 'p': DUCKDB_THREADS 4 is more than the cores: lowered to 2",
    ]
    assert (capped.name, capped.source) == (SEED.name, SEED.source)


def test_derived_settings_are_derived_again_without_a_warning_of_their_own() -> None:
    capped, warnings = profile("limits: {cpu: 8, memory: 12Gi}").capped(Decimal(2), 10 * GIB)
    # 6758 MiB, derived from 12 GiB, would fit below the ceiling of 10 GiB, but is not what is derived from it.
    assert capped.env["DUCKDB_MEMORY_LIMIT"] == f"{duckdb.derived(10 * GIB) // MIB}MiB" == "5632MiB"
    assert capped.env["DUCKDB_THREADS"] == "2"
    assert len(warnings) == 2


def test_a_given_value_that_still_fits_stays() -> None:
    capped, warnings = SEED.capped(Decimal(4), 11 * GIB)
    assert capped.env["DUCKDB_MEMORY_LIMIT"] == "8000000000B"
    assert capped.env["DUCKDB_THREADS"] == "4"
    assert [warning for warning in warnings if "DUCKDB" in warning] == []


def test_only_one_resource_is_short() -> None:
    capped, warnings = SEED.capped(Decimal(8), 6 * GIB)
    assert (capped.limits.cpu, capped.env["DUCKDB_THREADS"]) == (8, "4")
    assert len(warnings) == 2


def test_requests_never_exceed_limits() -> None:
    capped, _ = profile("requests: {cpu: 6, memory: 10Gi}, limits: {cpu: 8, memory: 12Gi}").capped(
        Decimal(2), 8 * GIB
    )
    assert (capped.requests.cpu, capped.requests.memory) == (2, 8 * GIB)


@pytest.mark.parametrize("host", [600 * MIB, 1 * GIB, 3 * GIB + 1, 8 * GIB - 5000, 64 * GIB])
@pytest.mark.parametrize("cpu", ["0.5", "1", "2", "3.5", "16"])
def test_whatever_the_host_everything_fits(host: int, cpu: str) -> None:
    capped, _ = SEED.capped(Decimal(cpu), host)
    assert capped.limits.memory <= host
    assert capped.limits.cpu <= Decimal(cpu)
    assert duckdb.SMALLEST <= capped.duckdb.memory_limit <= duckdb.ceiling(capped.limits.memory)
    assert 1 <= capped.duckdb.threads <= max(1, int(capped.limits.cpu))
    assert capped.capped(Decimal(cpu), host) == (capped, [])
    assert ResolvedProfile.from_json(capped.to_json()) == capped


def test_a_host_too_small_for_any_run() -> None:
    with pytest.raises(
        UserError, match="a memory limit of 512 MiB leaves DuckDB nothing to work with: 512 MiB - 256 MiB"
    ) as caught:
        SEED.capped(Decimal(2), 512 * MIB)
    assert caught.value.hint == "a run needs at least 576 MiB"
