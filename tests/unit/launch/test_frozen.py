"""What a launch freezes on a run, and what a re-execution makes of its parent's tags."""

import json
from decimal import Decimal

import pytest

from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.launch import diagnosis, frozen
from slipway.launch.adapter import Host, Phase, WorkerState
from slipway.profiles import resolve

PLATFORM = parse(
    """
infrastructure:
  resource_profiles:
    small: {requests: {memory: 512Mi}, limits: {cpu: "1", memory: 1Gi}}
    large: {requests: {memory: 6Gi}, limits: {cpu: "4", memory: 8Gi}}
    medium: {requests: {memory: 1Gi}, limits: {cpu: "2", memory: 2Gi}}
defaults: {profile: small}
""",
    "platform.yaml",
)
GIB = 2**30


def decided(name=None, run_id="one"):
    return frozen.Frozen(run_id, resolve(PLATFORM, "somewhere", run_tag=name), "medium")


def test_what_was_frozen_is_read_back():
    assert frozen.read(decided().tags(), "one") == decided()


def test_what_an_earlier_version_froze_is_read():
    value = json.loads(decided().tags()["slipway/frozen"])
    del value["oom"], value["profile"]["on_oom"], value["profile"]["max_oom_retries"]
    assert frozen.read({"slipway/frozen": json.dumps(value)}, "one") == decided()


def test_what_was_frozen_for_a_parent_does_not_count():
    assert frozen.read(decided().tags(), "two") is None
    assert frozen.read({}, "two") is None


def test_a_name_that_was_asked_for_is_kept_by_a_re_execution_and_a_chosen_one_is_not():
    assert frozen.requested(decided().tags(), "two") is None
    assert frozen.requested(decided("medium").tags(), "two") == "medium"
    assert frozen.requested({**decided().tags(), "slipway/profile": "large"}, "two") == "large"
    assert frozen.requested({"slipway/profile": "large"}, "two") == "large"


@pytest.mark.parametrize(
    ("memory", "host", "expected"),
    [
        (GIB, 16 * GIB, "medium"),
        (2 * GIB, 16 * GIB, "large"),
        (2 * GIB, 7 * GIB, "large"),
        (2 * GIB, 4 * GIB, None),
        (8 * GIB, 16 * GIB, None),
        (4 * GIB, 4 * GIB, None),
    ],
)
def test_the_next_larger_profile_is_one_that_this_host_can_launch(memory, host, expected):
    assert frozen.next_larger(PLATFORM, memory, Host(Decimal(8), host)) == expected


def test_a_request_above_the_host_is_refused_and_a_limit_lowered():
    large = resolve(PLATFORM, "somewhere", run_tag="large")
    with pytest.raises(UserError, match="requests 6 GiB of memory, this host has 4 GiB"):
        frozen.fit(large, Host(Decimal(8), 4 * GIB))
    fitted, warnings = frozen.fit(large, Host(Decimal(2), 7 * GIB))
    assert (fitted.limits.cpu, fitted.limits.memory) == (2, 7 * GIB)
    assert len(warnings) >= 2


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (WorkerState(Phase.EXITED, 137, True), "1Gi of profile 'small'; the next larger profile is 'medium'"),
        (
            WorkerState(Phase.EXITED, 137, True, 1023 * 2**20),
            "1Gi of profile 'small' (peak 1023 MiB); the next",
        ),
        (WorkerState(Phase.EXITED, 137), "killed by SIGKILL"),
        (WorkerState(Phase.EXITED, 255), "exit code 255"),
        (WorkerState(Phase.EXITED, 3), "exit code 3"),
        (WorkerState(Phase.EXITED, 0), "as if all were well"),
        (WorkerState(Phase.ABSENT), "removed from outside"),
    ],
)
def test_the_end_of_a_worker_is_told_in_a_sentence(state, text):
    assert text in diagnosis.ended(state, decided())
