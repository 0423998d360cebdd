"""What Slipway's storage relies on in dagster-postgres: fails loudly when an upgrade changes it."""

from __future__ import annotations

import inspect

import pytest
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage

from slipway.storage.postgres import SlipwayEventLogStorage, SlipwayRunStorage, SlipwayScheduleStorage

PARTS = [PostgresRunStorage, PostgresEventLogStorage, PostgresScheduleStorage]


@pytest.mark.parametrize("part", PARTS)
def test_each_part_takes_its_connections_from_one_engine(part: type) -> None:
    source = inspect.getsource(part)
    assert "self._engine = create_pg_engine(" in source or "self._engine = create_engine(" in source
    assert "create_pg_connection(self._engine)" in source
    assert list(inspect.signature(part.__init__).parameters)[:3] == [  # type: ignore[misc]
        "self",
        "postgres_url",
        "should_autocreate_tables",
    ]
    assert list(inspect.signature(part.optimize_for_webserver).parameters) == [  # type: ignore[attr-defined]
        "self",
        "statement_timeout",
        "pool_recycle",
        "max_overflow",
    ]


def test_the_storage_keeps_its_parts_where_we_replace_them() -> None:
    source = inspect.getsource(DagsterPostgresStorage.__init__)
    for part in ("_run_storage", "_event_log_storage", "_schedule_storage"):
        assert f"self.{part} = " in source
        assert f"return self.{part}" in inspect.getsource(DagsterPostgresStorage)


def test_without_autocreation_a_part_connects_only_when_it_is_used() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    for part in (SlipwayRunStorage, SlipwayEventLogStorage, SlipwayScheduleStorage):
        part(nowhere, False)
