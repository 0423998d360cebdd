from decimal import Decimal

import pytest

from slipway import profiles
from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.profiles import ResolvedProfile

GIB = 2**30
MIB = 2**20

PLATFORM = parse(
    """
infrastructure:
  resource_profiles:
    small: {limits: {cpu: 1, memory: 1Gi, ephemeral-storage: 5Gi}, env: {WHO: small, ONLY_SMALL: "1"}}
    wide: {requests: {cpu: 3}, limits: {cpu: 4, memory: 2Gi}, env: {WHO: wide}}
    tall:
      requests: {memory: 6Gi}
      limits: {cpu: "2", memory: 8Gi, ephemeral-storage: 50Gi}
      env: {WHO: tall, DUCKDB_MEMORY_LIMIT: 1GB}
    bare: {requests: {cpu: 2500m, memory: 3Gi}}
    empty: {}
    fixed:
      limits: {cpu: 8, memory: 12Gi}
      env:
        DUCKDB_MEMORY_LIMIT: 8GB
        DUCKDB_THREADS: "4"
        DUCKDB_TEMP_DIRECTORY: /tmp/duckdb
        DUCKDB_MAX_TEMP_DIRECTORY_SIZE: 3GiB
        DUCKDB_PRESERVE_INSERTION_ORDER: "TRUE"
code_locations:
  shop: {path: shop, profile: wide, image: {repository: shop, tag: x}}
  plain: {path: plain, image: {repository: plain, tag: x}}
defaults: {profile: tall}
""",
    "platform.yaml",
)


@pytest.mark.parametrize(
    ("run", "job", "assets", "location", "expected"),
    [
        ("small", "fixed", ["tall"], "shop", ("small", "run")),
        (None, "fixed", ["tall"], "shop", ("fixed", "job")),
        (None, None, ["small"], "shop", ("small", "asset")),
        (None, None, [], "shop", ("wide", "location")),
        (None, None, [], "plain", ("tall", "platform")),
        (None, None, [], "unknown", ("tall", "platform")),
    ],
)
def test_precedence(
    run: str | None, job: str | None, assets: list[str], location: str, expected: tuple[str, str]
) -> None:
    profile = profiles.resolve(PLATFORM, location, run_tag=run, job_tag=job, asset_tags=assets)
    assert (profile.name, profile.source) == expected


def test_without_any_profile_there_is_default() -> None:
    profile = profiles.resolve(parse("", "platform.yaml"), "shop")
    assert (profile.name, profile.source) == ("default", "platform")
    assert (profile.requests.cpu, profile.requests.memory) == (Decimal("0.25"), 512 * MIB)
    assert (profile.limits.cpu, profile.limits.memory, profile.limits.scratch) == (1, GIB, 20 * GIB)


def test_a_given_default_replaces_it() -> None:
    platform = parse(
        "infrastructure: {resource_profiles: {default: {limits: {memory: 3Gi}}}}", "platform.yaml"
    )
    assert profiles.resolve(platform, "shop").limits.memory == 3 * GIB


@pytest.mark.parametrize(
    ("name", "cpu", "memory", "scratch"),
    [("small", "1", GIB, 5 * GIB), ("bare", "2.5", 3 * GIB, 60 * GIB), ("empty", "1", GIB, 20 * GIB)],
)
def test_limits_that_are_left_out(name: str, cpu: str, memory: int, scratch: int) -> None:
    limits = profiles.resolve(PLATFORM, "shop", run_tag=name).limits
    assert (limits.cpu, limits.memory, limits.scratch) == (Decimal(cpu), memory, scratch)


def test_requests_that_are_left_out_stay_so() -> None:
    requests = profiles.resolve(PLATFORM, "shop", run_tag="small").requests
    assert (requests.cpu, requests.memory) == (None, None)


def test_environment_derived() -> None:
    assert profiles.resolve(PLATFORM, "shop", run_tag="wide").env == {
        "WHO": "wide",
        "DUCKDB_MEMORY_LIMIT": "1126MiB",
        "DUCKDB_THREADS": "4",
        "DUCKDB_MAX_TEMP_DIRECTORY_SIZE": "40960MiB",
        "DUCKDB_PRESERVE_INSERTION_ORDER": "false",
    }


def test_environment_given() -> None:
    assert profiles.resolve(PLATFORM, "shop", run_tag="fixed").env == {
        "DUCKDB_MEMORY_LIMIT": "8000000000B",
        "DUCKDB_THREADS": "4",
        "DUCKDB_TEMP_DIRECTORY": "/tmp/duckdb",
        "DUCKDB_MAX_TEMP_DIRECTORY_SIZE": "3072MiB",
        "DUCKDB_PRESERVE_INSERTION_ORDER": "true",
    }


@pytest.mark.parametrize(("cpu", "threads"), [("0.25", 1), ("1", 1), ("1.9", 1), ("2.5", 2), ("8", 8)])
def test_threads_are_whole_cores(cpu: str, threads: int) -> None:
    platform = parse(
        f"infrastructure: {{resource_profiles: {{p: {{limits: {{cpu: {cpu}}}}}}}}}", "platform.yaml"
    )
    assert profiles.resolve(platform, "shop", run_tag="p").env["DUCKDB_THREADS"] == str(threads)


# The largest over assets


def largest(*names: str) -> ResolvedProfile:
    return profiles.resolve(PLATFORM, "shop", asset_tags=names)


def test_what_follows_a_run_out_of_memory() -> None:
    platform = parse(
        """
infrastructure:
  resource_profiles:
    one: {limits: {memory: 1Gi}, on_oom: two}
    two: {limits: {memory: 2Gi}, on_oom: four, max_oom_retries: 3}
    two_wide: {limits: {memory: 2Gi, cpu: 8}}
    four: {limits: {memory: 4Gi}}
""",
        "platform.yaml",
    )

    def follows(*names: str) -> tuple[str | None, int]:
        found = profiles.resolve(platform, "", asset_tags=names)
        return found.on_oom, found.max_oom_retries

    assert follows("one") == ("two", 1)
    assert follows("two") == ("four", 3)
    assert follows("four") == (None, 0)
    # The one with the most memory decides, by cores where two have as much.
    assert follows("one", "two") == ("four", 3)
    assert follows("one", "four") == (None, 0)
    assert follows("two", "two_wide") == (None, 0)


def test_the_largest_is_the_maximum_of_each_resource() -> None:
    merged = largest("wide", "tall", "small")
    assert (merged.name, merged.source) == ("small+tall+wide", "asset")
    assert (merged.requests.cpu, merged.requests.memory) == (3, 6 * GIB)
    assert (merged.limits.cpu, merged.limits.memory, merged.limits.scratch) == (4, 8 * GIB, 50 * GIB)
    # tall holds DuckDB to 1 GB (953 MiB), wide derives 1126 MiB: the larger is enough for either's assets.
    assert merged.env["DUCKDB_MEMORY_LIMIT"] == "1126MiB"
    assert merged.env["DUCKDB_THREADS"] == "4"
    assert merged.env["DUCKDB_MAX_TEMP_DIRECTORY_SIZE"] == "51200MiB"


def test_variables_are_joined_and_the_larger_profile_decides() -> None:
    merged = largest("wide", "tall", "small")
    assert (merged.env["WHO"], merged.env["ONLY_SMALL"]) == ("tall", "1")


def test_a_profile_that_is_the_largest_in_everything_keeps_its_name() -> None:
    assert largest("empty", "bare").name == "bare"
    assert largest("bare", "bare").name == "bare"


def test_the_order_of_assets_changes_nothing() -> None:
    assert largest("wide", "tall", "fixed") == largest("fixed", "wide", "tall", "wide")


# Names that do not exist


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        ({"run_tag": "smal"}, "the run's tag slipway/profile"),
        ({"job_tag": "smal"}, "the job's tag slipway/profile"),
        ({"asset_tags": ["small", "smal"]}, "an asset's tag slipway/profile"),
    ],
)
def test_unknown_profile(arguments: dict[str, str], asks: str) -> None:
    with pytest.raises(UserError) as caught:
        profiles.resolve(PLATFORM, "shop", **arguments)  # type: ignore[arg-type]
    assert caught.value.message == f"there is no resource profile 'smal', which {asks} asks for"
    assert caught.value.hint == (
        "did you mean 'small'? platform.yaml has: bare, default, empty, fixed, small, tall, wide"
    )


# Frozen


@pytest.mark.parametrize("name", ["small", "wide", "tall", "bare", "empty", "fixed"])
def test_frozen_and_back(name: str) -> None:
    profile = profiles.resolve(PLATFORM, "shop", run_tag=name)
    assert ResolvedProfile.from_json(profile.to_json()) == profile


@pytest.mark.parametrize("text", ["{}", "[]", "null", "", "{", '{"name": "x", "source": "y"}'])
def test_what_was_never_frozen(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ResolvedProfile.from_json(text)


def test_frozen_names_only_known_rules() -> None:
    text = profiles.resolve(PLATFORM, "shop", run_tag="small").to_json().replace('"run"', '"moon"')
    with pytest.raises(ValueError, match="not a frozen profile"):
        ResolvedProfile.from_json(text)


def test_tags_for_people() -> None:
    assert profiles.resolve(PLATFORM, "shop", run_tag="bare").tags() == {
        "slipway/profile": "bare",
        "slipway/profile_source": "run",
        "slipway/cpu": "2500m",
        "slipway/memory": "3Gi",
        "slipway/scratch": "60Gi",
        "slipway/duckdb_memory_limit": "1689MiB",
        "slipway/duckdb_threads": "2",
    }
