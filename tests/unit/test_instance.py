"""The limits of platform.yaml in Dagster's words, and the one place of Dagster's that they go through."""

import re
from pathlib import Path

import dagster
import dagster_graphql
import pytest
from dagster import DagsterInstance
from dagster._core.instance.config import ConcurrencyConfig
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig
from dagster._core.storage.dagster_run import DagsterRun
from dagster._utils.tags import TagConcurrencyLimitsCounter

from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.config.model import Concurrency
from slipway.instance import SlipwayInstance, limited, refuse_misplaced, tag_limits

ROOT = Path(__file__).resolve().parents[2]

DAGSTERS = ConcurrencyConfig.from_concurrency_settings(
    {"pools": {"granularity": "op"}},
    RunQueueConfig(max_concurrent_runs=10, tag_concurrency_limits=[], max_user_code_failure_retries=5),
)


def concurrency(text: str) -> Concurrency:
    return parse(f"concurrency: {text}", "platform.yaml").concurrency


def test_the_limits_are_platform_yamls_and_the_rest_stays() -> None:
    ours = limited(DAGSTERS, concurrency("{max_concurrent_runs: 3, default_pool_limit: 2}"))
    assert ours.run_queue_config is not None
    assert ours.run_queue_config.max_concurrent_runs == 3
    assert ours.run_queue_config.max_user_code_failure_retries == 5
    assert ours.pool_config.default_pool_limit == 2
    assert ours.pool_config.pool_granularity == DAGSTERS.pool_config.pool_granularity
    assert limited(DAGSTERS, Concurrency()).run_queue_config.max_concurrent_runs == 4  # type: ignore[union-attr]


def runs(*values: str) -> list[DagsterRun]:
    return [DagsterRun(job_name="job", tags={"team": value}) for value in values]


@pytest.mark.parametrize(
    ("text", "running", "blocked"),
    [
        ("{limit: 2}", ["a"], set()),
        ("{limit: 2}", ["a", "b"], {"a", "b", "c"}),
        ("{each_value: 1}", ["a"], {"a"}),
        ("{values: {b: 1}}", ["a", "b"], {"b"}),
        ("{values: {b: 0}}", [], {"b"}),
        ("{limit: 3, each_value: 2, values: {b: 1}}", ["a", "b"], {"b"}),
        ("{limit: 3, each_value: 2, values: {b: 1}}", ["a", "a"], {"a"}),
        ("{limit: 3, each_value: 2, values: {b: 1}}", ["a", "b", "c"], {"a", "b", "c"}),
    ],
)
def test_limits_by_tag_mean_to_dagster_what_they_say(
    text: str, running: list[str], blocked: set[str]
) -> None:
    limits = list(tag_limits(concurrency(f"{{tags: {{team: {text}}}}}")))
    counter = TagConcurrencyLimitsCounter(limits, runs(*running))
    assert {
        value for value, (run,) in ((value, runs(value)) for value in "abc") if counter.is_blocked(run)
    } == blocked
    assert not counter.is_blocked(DagsterRun(job_name="untagged"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"runs": {"max_concurrent_runs": 9}}, "concurrency.max_concurrent_runs"),
        ({"runs": {"tag_concurrency_limits": []}}, "concurrency.tags"),
        ({"pools": {"default_limit": 2}}, "concurrency.default_pool_limit"),
    ],
)
def test_dagster_yaml_may_not_say_it_too(settings: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(UserError, match=r"which platform\.yaml decides") as caught:
        refuse_misplaced(settings)
    assert caught.value.hint == f"remove it there, and give {said} in platform.yaml"


def test_a_changed_file_counts_at_once_and_a_mistake_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_PLATFORM", str(tmp_path / "platform.yaml"))
    monkeypatch.delenv("SLIPWAY_PLATFORM_JSON", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    whole = (ROOT / "dagster.yaml").read_text()
    (home / "dagster.yaml").write_text(
        "".join(
            line for line in whole.splitlines(True) if re.match("instance_class|concurrency|telemetry", line)
        )
    )
    (tmp_path / "platform.yaml").write_text("concurrency: {max_concurrent_runs: 7}")
    with DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance, SlipwayInstance)
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 7
        assert instance.global_op_concurrency_default_limit == 1
        assert instance.event_log_storage.get_pool_config().default_pool_limit == 1
        (tmp_path / "platform.yaml").write_text("concurrency: {default_pool_limit: 30}")
        assert instance.global_op_concurrency_default_limit == 30
        (tmp_path / "platform.yaml").write_text("concurrency: {default_pool_limit: none}")
        with pytest.raises(UserError, match="must be a whole number"):
            instance.get_concurrency_config()
        # as another process, such as a code server's, gets it
        with DagsterInstance.from_ref(instance.get_ref()) as again:
            assert isinstance(again, SlipwayInstance)


def test_dagster_asks_for_its_limits_nowhere_else() -> None:
    """If one of these grows, the queue or a page may go by dagster.yaml and not by platform.yaml."""
    asked: dict[str, list[str]] = {}
    for package in (dagster, dagster_graphql):
        root = Path(package.__file__).parent
        for file in sorted(root.rglob("*.py")):
            text = file.read_text("utf-8")
            for question in (
                r'get_settings\("concurrency"\)',
                r"\.get_run_queue_config\(",
                r"from_concurrency_settings\(",
            ):
                if re.search(question, text) and "_test" not in str(file.relative_to(root)):
                    asked.setdefault(question, []).append(str(file.relative_to(root)))
    methods = "_core/instance/methods/settings_methods.py"
    assert asked == {
        r'get_settings\("concurrency"\)': [methods],
        r"\.get_run_queue_config\(": [methods],
        r"from_concurrency_settings\(": ["_core/instance/config.py", methods],
    }
