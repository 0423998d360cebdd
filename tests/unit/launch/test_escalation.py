"""What becomes of a run that is out of memory, decided from its profile and what led to it."""

from decimal import Decimal

import pytest

from slipway.config.loader import parse
from slipway.launch import escalation, frozen
from slipway.launch.adapter import Host
from slipway.launch.escalation import Chain
from slipway.launch.frozen import Escalation, Frozen
from slipway.memory.exhaustion import State
from slipway.profiles import ResolvedProfile, resolve

GIB = 2**30
NONE = Chain()
HOST = Host(Decimal(8), 64 * GIB)
PLATFORM = parse(
    """
infrastructure:
  resource_profiles:
    small: {limits: {memory: 1Gi}, on_oom: medium, max_oom_retries: 2}
    once: {limits: {memory: 1Gi}, on_oom: medium}
    never: {limits: {memory: 1Gi}, on_oom: medium, max_oom_retries: 0}
    medium: {requests: {memory: 2Gi}, limits: {memory: 2Gi}, on_oom: large}
    large: {limits: {memory: 4Gi}}
""",
    "platform.yaml",
)


def decide(name: str, before: Chain = NONE, host: Host | None = HOST, max_retries: int = 0) -> Escalation:
    return escalation.decide(PLATFORM, resolve(PLATFORM, "", run_tag=name), host, before, max_retries)


@pytest.mark.parametrize(
    ("name", "before", "successor", "attempt"),
    [
        ("once", Chain(), "medium", "1 of 1"),
        ("small", Chain(), "medium", "1 of 2"),
        # The first run's number counts, not that of the profile it has come to.
        ("medium", Chain(1, 1, 2), "large", "2 of 2"),
        ("medium", Chain(), "large", "1 of 1"),
        # A retry of Dagster's takes none of ours away while there are fewer than the larger number.
        ("small", Chain(1), "medium", "1 of 2"),
    ],
)
def test_the_next_profile(name: str, before: Chain, successor: str, attempt: str) -> None:
    decided = decide(name, before)
    assert (decided.successor, decided.next_attempt, decided.state) == (successor, attempt, State.PENDING)
    assert f"it is retried on profile '{successor}' (retry {attempt})" in escalation.outlook(decided, None)


@pytest.mark.parametrize(
    ("name", "before", "host", "state", "said"),
    [
        (
            "large",
            Chain(),
            HOST,
            State.UNMANAGED,
            "the next larger profile is 'huge' (run tag slipway/profile)",
        ),
        (
            "never",
            Chain(),
            HOST,
            State.UNMANAGED,
            "the next larger profile is 'huge' (run tag slipway/profile)",
        ),
        ("medium", Chain(1, 1, 1), HOST, State.FINAL, "this was retry 1 of 1 on a larger profile; the next"),
        (
            "large",
            Chain(1, 1, 2),
            HOST,
            State.FINAL,
            "this was retry 1 of 2, and 'large' has no on_oom; the next",
        ),
        (
            "small",
            Chain(2),
            HOST,
            State.FINAL,
            "it is not retried on 'medium': it was retried 2 times; the next",
        ),
        (
            "once",
            Chain(),
            Host(Decimal(8), GIB),
            State.FINAL,
            "it is not retried: profile 'medium' requests 2 GiB of memory, this host has 1 GiB; the next",
        ),
        (
            "medium",
            Chain(),
            Host(Decimal(8), 2 * GIB),
            State.FINAL,
            "it is not retried: profile 'large', the on_oom of 'medium', gives 2 GiB of memory on this host, "
            "which is no more; the next",
        ),
    ],
)
def test_why_there_is_none(name: str, before: Chain, host: Host, state: State, said: str) -> None:
    decided = decide(name, before, host)
    assert (decided.successor, decided.state) == (None, state)
    assert escalation.outlook(decided, "huge").startswith(said)


def test_retries_of_both_kinds_are_together_at_most_the_larger_number() -> None:
    assert decide("once", Chain(2), max_retries=3).successor == "medium"
    assert decide("once", Chain(3), max_retries=3).successor is None


def test_the_chain_is_read_from_what_the_parent_froze() -> None:
    assert escalation.chain({}) == Chain()
    parent = Frozen("parent", resolve(PLATFORM, "", run_tag="small"), None, decide("small", Chain(3)))
    retry = {**parent.tags(), "slipway/oom_retry": "1 of 2", "dagster/retry_number": "1"}
    assert escalation.chain(retry) == Chain(4, 1, 2)
    # A person's re-execution has no such number, and begins anew.
    del retry["dagster/retry_number"]
    assert escalation.chain(retry) == Chain()


def test_what_a_re_execution_copied_is_not_left_standing() -> None:
    copied = {"slipway/out_of_memory": "retried", "slipway/oom_retry": "1 of 2"}
    assert escalation.renewed(copied) == {"slipway/out_of_memory": "not yet", "slipway/oom_retry": "none"}
    assert escalation.renewed({"slipway/oom_retry": "1 of 2", "dagster/retry_number": "1"}) == {}
    assert escalation.renewed({}) == {}


def test_a_tag_that_is_no_attempt_counts_for_none() -> None:
    assert escalation.chain({"dagster/retry_number": "1", "slipway/oom_retry": "many"}) == Chain(1)


def test_where_no_host_limits_runs_only_the_profiles_count() -> None:
    assert decide("once", Chain(), None).successor == "medium"
    assert frozen.next_larger(PLATFORM, 0, None) is not None


def test_a_retry_that_its_own_tags_give_no_more_memory_is_none() -> None:
    profile = resolve(PLATFORM, "", run_tag="once")

    def fixed(_larger: ResolvedProfile) -> ResolvedProfile:
        return profile

    decided = escalation.decide(PLATFORM, profile, None, Chain(), 0, adjust=fixed)
    assert decided.state is State.FINAL
    assert escalation.outlook(decided, "huge").startswith(
        "it is not retried: profile 'medium', the on_oom of 'once', gives 1 GiB of memory, which is no more"
    )
