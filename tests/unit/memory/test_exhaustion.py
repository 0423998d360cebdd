"""The tags by which the run's processes, the daemons and the sensors agree."""

import json

import pytest

from slipway.memory import exhaustion
from slipway.memory.exhaustion import Outlook, State


def tags(state: str, run_id: str = "one") -> dict[str, str]:
    return {"slipway/out_of_memory": state, "slipway/frozen": json.dumps({"run_id": run_id})}


def test_the_outlook_reaches_the_runs_processes():
    outlook = Outlook("one", "small", 2**30, "it is retried", State.PENDING, True)
    assert exhaustion.read({exhaustion.VARIABLE: outlook.to_json()}) == outlook
    assert exhaustion.read({}) is None
    assert outlook.tags() == {"slipway/out_of_memory": "retry pending", "dagster/will_retry": "true"}


@pytest.mark.parametrize(
    ("state", "retry", "ran_out"),
    [
        (State.PENDING, True, True),
        (State.RETRIED, True, True),
        (State.FINAL, False, True),
        # Dagster decides.
        (State.UNMANAGED, None, True),
        (State.OTHER, None, False),
        (State.UNKNOWN, None, False),
        ("something of the user's own", None, False),
    ],
)
def test_what_a_state_means(state: str, retry: bool | None, ran_out: bool):
    assert exhaustion.will_retry(tags(state), "one") is retry
    assert exhaustion.ran_out(tags(state), "one") is ran_out


def test_a_state_that_a_re_execution_copied_counts_for_nothing():
    assert exhaustion.will_retry(tags(State.PENDING, "parent"), "one") is None
    assert exhaustion.state({"slipway/out_of_memory": State.PENDING}, "one") is None
