"""The instance's storage, loaded from the repository's dagster.yaml, on a real Postgres."""

from __future__ import annotations

import json
import multiprocessing
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
from dagster import AssetKey, AssetMaterialization, DagsterEvent, DagsterInstance, EventLogEntry, job, op
from dagster._core.events import StepMaterializationData
from dagster._core.test_utils import create_run_for_test

import platform_home
from slipway.config.errors import UserError
from slipway.embedded.postgres import EmbeddedPostgres
from slipway.launch.launcher import SlipwayRunLauncher
from slipway.storage import engine
from slipway.storage.postgres import SlipwayEventLogStorage
from waiting import until


@pytest.fixture
def env(platform_env: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    return platform_home.environment(tmp_path, "{}", platform_env)


@pytest.fixture
def instance(env: Mapping[str, str]) -> Iterator[DagsterInstance]:
    with platform_home.instance(env) as loaded:
        yield loaded


def connections(url: str) -> int:
    """Connections that others hold to the database."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])
    finally:
        connection.close()


def test_dagster_yaml_loads_and_makes_its_tables(instance: DagsterInstance) -> None:
    assert isinstance(instance.event_log_storage, SlipwayEventLogStorage)
    assert isinstance(instance.run_launcher, SlipwayRunLauncher)
    assert instance.run_monitoring_enabled
    assert not instance.telemetry_enabled
    run = create_run_for_test(instance, job_name="a")
    assert [found.run_id for found in instance.get_runs()] == [run.run_id]
    assert instance.all_instigator_state() == []
    assert instance.all_asset_keys() == []


def test_an_external_postgres_is_a_change_in_platform_yaml_alone(
    platform_env: Mapping[str, str], postgres_url: str, tmp_path: Path
) -> None:
    where = urlsplit(postgres_url)
    (tmp_path / "password").write_text(f"{where.password}\n")
    platform = f"""
postgres:
  host: {where.hostname}
  port: {where.port}
  database: {where.path[1:]}
  user: {{env: EXTERNAL_USER}}
  password: {{file: {tmp_path}/password}}
"""
    env = platform_home.environment(
        tmp_path,
        platform,
        {
            **platform_env,
            "SLIPWAY_POSTGRES_URL": "postgresql://nobody@127.0.0.1:1/none",
            "EXTERNAL_USER": str(where.username),
        },
    )
    with platform_home.instance(env) as loaded:
        create_run_for_test(loaded, job_name="external")
    connection = psycopg2.connect(postgres_url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pipeline_name FROM runs")
        assert cursor.fetchall() == [("external",)]
    connection.close()


def test_two_processes_may_make_the_tables_at_once(env: Mapping[str, str]) -> None:
    script = "from dagster import DagsterInstance\nwith DagsterInstance.get() as i: print(i.get_runs_count())"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs


def test_no_postgres_is_said_with_its_address_and_without_the_password(
    env: dict[str, str],
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        unused_port = unused.getsockname()[1]
    env["SLIPWAY_POSTGRES_URL"] = f"postgresql://slipway:the-password@127.0.0.1:{unused_port}/platform"
    with pytest.raises(UserError) as raised, platform_home.instance(env):
        pass
    assert f"cannot use Postgres at 127.0.0.1:{unused_port}, database 'platform', user 'slipway'" in str(
        raised.value
    )
    assert "Connection refused" in str(raised.value)
    assert "the-password" not in str(raised.value)
    assert "section `postgres` of platform.yaml" in (raised.value.hint or "")


def test_a_wrong_password_is_said_and_not_shown(env: dict[str, str], postgres_url: str) -> None:
    where = urlsplit(postgres_url)
    env["SLIPWAY_POSTGRES_URL"] = postgres_url.replace(f":{where.password}@", ":not-the-password@")
    with pytest.raises(UserError) as raised, platform_home.instance(env):
        pass
    assert "password authentication failed" in str(raised.value)
    assert "not-the-password" not in str(raised.value)


def test_a_restart_of_postgres_between_two_operations_goes_unnoticed(
    env: dict[str, str], tmp_path: Path
) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", durable=False) as server:
        env["SLIPWAY_POSTGRES_URL"] = server.url
        with platform_home.instance(env) as loaded:
            run = create_run_for_test(loaded, job_name="before")
            assert connections(server.url) > 0
            server.stop()
            server.start()
            assert loaded.get_run_by_id(run.run_id) is not None
            loaded.optimize_for_webserver(15000, 3600, 20)
            assert loaded.get_run_by_id(run.run_id) is not None
            assert loaded.logs_after(run.run_id, None) == []
            server.stop()
            server.start()
            assert loaded.get_run_by_id(run.run_id) is not None
            assert loaded.logs_after(run.run_id, None) == []
            assert loaded.all_instigator_state() == []


def test_connections_are_kept_and_do_not_grow_with_instances(
    env: Mapping[str, str], postgres_url: str
) -> None:
    with platform_home.instance(env) as first:
        for _ in range(5):
            with DagsterInstance.get() as another:
                another.get_runs()
                another.all_instigator_state()
        first.get_runs()
        assert 1 <= connections(postgres_url) <= engine.KEPT_CONNECTIONS


def test_a_forked_child_does_not_speak_on_its_parents_connections(
    instance: DagsterInstance, postgres_url: str
) -> None:
    instance.get_runs()
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_read_often, args=(instance,)) for _ in range(3)]
    for child in children:
        child.start()
    _read_often(instance)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert instance.get_runs() == []


def _read_often(instance: DagsterInstance) -> None:
    for _ in range(50):
        assert instance.get_runs() == []
        assert instance.get_daemon_heartbeats() == {}


def test_the_webservers_statements_end_in_time(instance: DagsterInstance) -> None:
    import sqlalchemy

    instance.optimize_for_webserver(statement_timeout=200, pool_recycle=3600, max_overflow=20)
    with (
        instance.event_log_storage.index_connection() as connection,  # type: ignore[attr-defined]
        pytest.raises(sqlalchemy.exc.OperationalError, match="statement timeout"),
    ):
        connection.execute(sqlalchemy.text("SELECT pg_sleep(5)"))


@pytest.mark.parametrize("batch", [False, True])
def test_a_materialisation_carries_what_the_launcher_tells_of_its_run(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, batch: bool
) -> None:
    monkeypatch.setenv("SLIPWAY_RUN_METADATA", json.dumps({"slipway/profile": "small"}))
    run = create_run_for_test(instance, job_name="a")
    event = EventLogEntry(
        error_info=None,
        user_message="",
        level=20,
        run_id=run.run_id,
        timestamp=time.time(),
        job_name="a",
        step_key="a",
        dagster_event=DagsterEvent(
            "ASSET_MATERIALIZATION",
            "a",
            step_key="a",
            event_specific_data=StepMaterializationData(
                AssetMaterialization(AssetKey("orders"), metadata={"rows": 3})
            ),
        ),
    )
    if batch:
        instance.event_log_storage.store_event_batch([event])
    else:
        instance.event_log_storage.store_event(event)
    stored = instance.get_latest_materialization_event(AssetKey("orders"))
    assert stored is not None
    assert stored.asset_materialization is not None
    metadata = {key: value.value for key, value in stored.asset_materialization.metadata.items()}
    assert metadata == {"rows": 3, "slipway/profile": "small"}


def test_a_run_executes_on_it(platform_env: Mapping[str, str], tmp_path: Path) -> None:
    platform = "observability: {compute_logs: {bucket: never-made}}"
    with platform_home.instance(platform_home.environment(tmp_path, platform, platform_env)) as instance:
        answers_without_a_bucket(instance)


def answers_without_a_bucket(instance: DagsterInstance) -> None:
    @op
    def answer() -> int:
        return 42

    @job
    def question() -> None:
        answer()

    result = question.execute_in_process(instance=instance)
    assert result.success
    stats = instance.get_run_stats(result.run_id)
    assert stats.steps_succeeded == 1
    # There is no bucket: that is among the run's events, at once, and fails nothing.
    messages = [
        record.event_log_entry.to_json() for record in instance.get_records_for_run(result.run_id).records
    ]
    assert any("the bucket of observability.compute_logs does not exist" in message for message in messages)


def test_the_stock_daemon_runs_on_it(env: Mapping[str, str], tmp_path: Path) -> None:
    (tmp_path / "workspace.yaml").write_text("load_from: []\n")
    bin_folder = Path(sys.executable).parent
    with (tmp_path / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [str(bin_folder / "dagster-daemon"), "run", "-w", str(tmp_path / "workspace.yaml")],
            env=dict(env),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with platform_home.instance(env) as loaded:
            required = set(loaded.get_required_daemon_types())
            assert {"SENSOR", "QUEUED_RUN_COORDINATOR", "MONITORING"} <= required
            until(lambda: daemon.poll() is not None or required <= set(loaded.get_daemon_heartbeats()), 20)
        assert daemon.poll() is None, (tmp_path / "daemon.log").read_text()
    finally:
        daemon.terminate()
        daemon.wait(30)
