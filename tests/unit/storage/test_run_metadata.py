"""Materialisations carry what the launcher tells of their run."""

from dagster import DagsterInstance, asset, materialize
from dagster._core.events import DagsterEventType

from slipway.storage.run_metadata import VARIABLE, annotate


def _events():
    @asset(metadata={})
    def numbers(context):
        context.add_output_metadata({"rows": 3, "slipway/cpu": "the asset's own"})

    with DagsterInstance.ephemeral() as instance:
        result = materialize([numbers], instance=instance)
        return instance.all_logs(result.run_id)


def test_a_materialisation_gets_the_metadata_of_its_run_and_keeps_its_own():
    env = {VARIABLE: '{"slipway/profile": "small", "slipway/cpu": "1"}'}
    events = [annotate(event, env) for event in _events()]
    (found,) = [
        e
        for e in events
        if e.dagster_event and e.dagster_event.event_type is DagsterEventType.ASSET_MATERIALIZATION
    ]
    metadata = found.dagster_event.event_specific_data.materialization.metadata
    assert {key: value.value for key, value in metadata.items()} == {
        "slipway/profile": "small",
        "slipway/cpu": "the asset's own",
        "rows": 3,
    }


def test_other_events_and_events_outside_a_launched_run_are_untouched():
    for event in _events():
        assert annotate(event, {}) is event
        if (
            event.dagster_event
            and event.dagster_event.event_type is not DagsterEventType.ASSET_MATERIALIZATION
        ):
            assert annotate(event, {VARIABLE: '{"a": "b"}'}) is event
