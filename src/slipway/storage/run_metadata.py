"""Adds what the launcher tells of a run to the metadata of each of its materialisations."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dagster import EventLogEntry
from dagster._core.events import DagsterEventType, StepMaterializationData

VARIABLE = "SLIPWAY_RUN_METADATA"
"""JSON object of texts: the run's profile, its limits and DuckDB's settings."""


def annotate(event: EventLogEntry, env: Mapping[str, str]) -> EventLogEntry:
    """The event with the run's metadata, if it is a materialisation; keys that the asset set itself win.

    Outside a launched run there is nothing to add, and the event is returned as it is.
    """
    text = env.get(VARIABLE)
    dagster_event = event.dagster_event
    if (
        text is None
        or dagster_event is None
        or dagster_event.event_type is not DagsterEventType.ASSET_MATERIALIZATION
        or not isinstance(dagster_event.event_specific_data, StepMaterializationData)
    ):
        return event
    data = dagster_event.event_specific_data
    materialization = data.materialization.with_metadata(
        {**json.loads(text), **data.materialization.metadata}
    )
    return event._replace(
        dagster_event=dagster_event._replace(
            event_specific_data=data._replace(materialization=materialization)
        )
    )
