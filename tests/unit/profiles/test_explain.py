"""What `slipway profile` says of a profile and of the rules."""

from __future__ import annotations

import pytest

from slipway.config.loader import parse
from slipway.profiles import explain, resolve, wishes

PLATFORM = parse(
    """
infrastructure:
  resource_profiles:
    small:
      requests: {memory: 512Mi}
      limits: {memory: 1Gi, ephemeral-storage: 5Gi}
      on_oom: given
    tiny: {limits: {memory: 1Gi}, on_oom: given, max_oom_retries: 3}
    never: {limits: {memory: 1Gi}, on_oom: given, max_oom_retries: 0}
    large: {limits: {cpu: "4", memory: 8Gi}}
    given:
      limits: {cpu: 1500m, memory: 4Gi}
      env: {DUCKDB_MEMORY_LIMIT: 1GiB, DUCKDB_THREADS: "3", DUCKDB_TEMP_DIRECTORY: /spill, TZ: UTC}
code_locations:
  shop: {path: shop, image: {repository: r, tag: t}, profile: large}
  crm: {path: crm, image: {repository: r, tag: t}}
defaults: {profile: small}
""",
    "platform.yaml",
)


def settings(name: str) -> dict[str, explain.Setting]:
    return {one.name: one for one in explain.settings(resolve(PLATFORM, "", run_tag=name))}


@pytest.mark.parametrize(
    ("profile", "value", "smaller", "larger"),
    [
        ("small", "512MiB", "55 % of 1024 MiB = 563 MiB", "at least 256 MiB) = 512 MiB"),
        ("large", "4505MiB", "55 % of 8192 MiB = 4505 MiB", "1638 MiB for Python's heap"),
    ],
)
def test_the_memory_limit_is_explained_by_its_arithmetic(
    profile: str, value: str, smaller: str, larger: str
) -> None:
    memory = settings(profile)["memory_limit"]
    assert (memory.value, memory.given) == (value, False)
    assert smaller in memory.why
    assert larger in memory.why


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("small", "is retried on 'given', once"),
        ("tiny", "is retried on 'given', and on its own on_oom, 3 times in all"),
        ("never", "is not retried"),
        ("large", "is not retried"),
    ],
)
def test_what_follows_when_a_run_is_out_of_memory(profile: str, said: str) -> None:
    assert said in explain.out_of_memory(resolve(PLATFORM, "", run_tag=profile))


def test_given_settings_are_told_from_derived_ones() -> None:
    found = settings("given")
    assert (found["memory_limit"].value, found["threads"].value) == ("1024MiB", "3")
    assert "the limits would give 2252 MiB" in found["memory_limit"].why
    assert found["temp_directory"].value == "/spill"
    assert {name for name, one in found.items() if one.given} == {"memory_limit", "threads", "temp_directory"}
    assert explain.as_json(resolve(PLATFORM, "", run_tag="given"))["env"] == {"TZ": "UTC"}


def test_what_one_of_several_profiles_gives_is_not_what_the_largest_gets() -> None:
    merged = resolve(PLATFORM, "", asset_tags=["small", "given", "large"])
    (memory,) = (one for one in explain.settings(merged) if one.name == "memory_limit")
    assert (memory.value, memory.given) == ("4505MiB", False)


@pytest.mark.parametrize(
    ("location", "asked", "decisive"),
    [
        ("crm", {}, "platform"),
        ("shop", {}, "location"),
        ("shop", {"asset_tags": ["small", "large"]}, "asset"),
        ("shop", {"asset_tags": ["small"], "job_tag": "small"}, "job"),
        ("shop", {"asset_tags": ["small"], "job_tag": "small", "run_tag": "large"}, "run"),
    ],
)
def test_the_verdicts_name_the_rule_that_resolve_follows(
    location: str, asked: dict[str, object], decisive: str
) -> None:
    verdicts = explain.verdicts(wishes(PLATFORM, location, **asked))
    assert [one.rule for one in verdicts] == list(explain.RULES)
    assert [one.rule for one in verdicts if one.decides] == [decisive]
    assert resolve(PLATFORM, location, **asked).source == decisive
    position = list(explain.RULES).index(decisive)
    assert {one.why for one in verdicts[:position]} <= {"asks for nothing"}
    assert all(
        one.why in (f"not asked, since '{decisive}' is nearer", "asks for nothing")
        for one in verdicts[position + 1 :]
    )


def test_who_names_a_profile() -> None:
    assert explain.users(PLATFORM) == {"small": ["defaults", "crm (by default)"], "large": ["shop"]}
