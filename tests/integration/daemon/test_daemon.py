"""The daemon as a process: a file lands, a run loads it, and SIGTERM leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psutil
import psycopg2
import pytest
from dagster import DagsterEventType, DagsterRunStatus

from platform_home import environment, instance
from slipway import config, identity
from slipway.aws import s3_client
from slipway.config.connections import s3_settings as settings_of
from slipway.launch import cgroup
from slipway.ops.bootstrap import bootstrap
from slipway.resources.duckdb import open_connection
from slipway.resources.lake import attach
from waiting import until

ROOT = Path(__file__).resolve().parents[3]


def documented_project() -> str:
    """The project that docs/landing.md shows, on the landing that the test has."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "landing.md").read_text(), re.DOTALL)
    return code.replace("shop_files", "inbox")


def hungry_project() -> str:
    """The same, with a load that needs 700 MiB."""
    code = documented_project()
    begin = "    batch = inbox.batch(context)\n"
    assert begin in code
    return code.replace(begin, f"{begin}    assert b'x' * (700 << 20)\n")


HUNGRY = {
    "resource_profiles": {
        "tight": {"limits": {"memory": "640Mi"}, "on_oom": "roomy"},
        "roomy": {"limits": {"memory": "2Gi"}},
    }
}


@pytest.fixture
def project() -> str:
    return documented_project()


@pytest.fixture
def infrastructure() -> dict[str, object]:
    return {}


@pytest.fixture
def env(
    platform, platform_env, project: str, infrastructure: dict[str, object], tmp_path: Path, monkeypatch
) -> dict[str, str]:
    """A bootstrapped platform whose location `shop` is one file."""
    folder = tmp_path / "platform"
    values = platform.model_dump(by_alias=True, exclude_unset=True, mode="json")
    if infrastructure:
        values |= {"infrastructure": infrastructure, "defaults": {"profile": "tight"}}
    found = environment(folder, json.dumps(values), platform_env)
    location = folder / "code_locations" / "shop"
    location.mkdir(parents=True)
    (location / "shop.py").write_text(project)
    (folder / "workspace.yaml").write_text(
        f"load_from:\n  - python_file: {{relative_path: {location}/shop.py, location_name: shop, working_directory: {location}}}\n"
    )
    found["SLIPWAY_LOCATION"] = "shop"
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    bootstrap(config.current(found), found, print, 30)
    return found


@pytest.fixture
def daemon(env, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "slipway.daemon", "-w", str(tmp_path / "platform" / "workspace.yaml")],
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def states(env) -> dict[str, str]:
    with psycopg2.connect(env["SLIPWAY_POSTGRES_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT key, state FROM slipway_ledger.landing_object")
        return dict(cursor.fetchall())


def test_a_landed_file_becomes_rows_and_sigterm_leaves_nothing(daemon, env, tmp_path):
    platform = config.current(env)
    s3 = s3_client(settings_of(platform, "default", env))
    key = '2024/it\'s a "key" + more.csv'
    broken = {"broken.csv": b"<html>not found</html>", "1-broken.csv": b"id,total\n1,much\n"}
    # Broken ones first: what comes after them is not theirs to spoil.
    for name, body in (*broken.items(), (key, b"id,total\n1,2.50\n2,3\n")):
        s3.put_object(Bucket=platform.landing["inbox"].bucket, Key=name, Body=body)

    def log() -> str:
        return (tmp_path / "daemon.log").read_text()[-8000:]

    settled = {key: "done", **dict.fromkeys(broken, "quarantined")}
    until(lambda: states(env) == settled or daemon.poll() is not None, 300, log)
    assert daemon.poll() is None, log()
    connection = open_connection(env)
    attach(connection, platform, "shop", env, read_only=True)
    assert connection.execute("SELECT file, sum(total) FROM shop.orders GROUP BY file").fetchall() == [
        (key, Decimal("5.50"))
    ]
    connection.close()

    children = psutil.Process(daemon.pid).children(recursive=True)
    assert children, "the code server is the daemon's child here"
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(60) == 0, log()
    until(lambda: not [child for child in children if child.is_running()], 30, log)


@pytest.mark.skipif(cgroup.writable() is None, reason="no cgroup is writable here")
@pytest.mark.parametrize(("project", "infrastructure"), [(hungry_project(), HUNGRY)])
def test_a_batch_whose_run_is_out_of_memory_waits_for_the_retry_with_more(daemon, env, tmp_path):
    """The sensor, which looks every two seconds, neither narrows the batch nor runs it a second time."""
    platform = config.current(env)
    s3 = s3_client(settings_of(platform, "default", env))
    for name in ("one.csv", "two.csv"):
        s3.put_object(Bucket=platform.landing["inbox"].bucket, Key=name, Body=b"id,total\n1,2.50\n")

    def log() -> str:
        return (tmp_path / "daemon.log").read_text()[-8000:]

    until(lambda: set(states(env).values()) == {"done"} or daemon.poll() is not None, 300, log)
    with psycopg2.connect(env["SLIPWAY_POSTGRES_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT attempt, state FROM slipway_ledger.landing_batch")
        # Files may have come in one batch or in two.
        assert set(cursor.fetchall()) == {(1, "done")}, log()
        cursor.execute("SELECT count(*) FROM slipway_ledger.landing_batch")
        batches = cursor.fetchone()[0]
    with instance(env) as dagster:
        # Rows are committed, and files done, a moment before a run is over.
        until(lambda: all(run.is_finished for run in dagster.get_runs()), 60, log)
        runs = dagster.get_runs()
        retries = [run for run in runs if "slipway/oom_retry" in run.tags]
        assert len(runs) == 2 * batches
        assert len(retries) == batches
        for run in retries:
            parent = dagster.get_run_by_id(run.parent_run_id)
            assert (parent.status, run.status) == (DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS)
            assert (parent.tags["slipway/profile"], run.tags["slipway/profile"]) == ("tight", "roomy")
            assert run.tags["slipway/batch"] == parent.tags["slipway/batch"]
            (failed,) = dagster.all_logs(parent.run_id, of_type=DagsterEventType.RUN_FAILURE)
            assert "limit of 640Mi of profile 'tight'" in failed.message
            assert "it is retried on profile 'roomy' (retry 1 of 1)" in failed.message


def test_the_daemon_does_not_start_on_another_storage(env, tmp_path):
    platform = config.current(env)
    s3 = s3_client(settings_of(platform, "default", env))
    s3.delete_object(Bucket=platform.lake.bucket, Key=identity.object_key(platform))
    done = subprocess.run(
        [sys.executable, "-m", "slipway.daemon", "-w", str(tmp_path / "platform" / "workspace.yaml")],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "error: this is not the storage" in done.stderr
    assert "help: " in done.stderr


def test_the_daemon_says_that_postgres_is_not_there(platform, platform_env, tmp_path):
    env = environment(tmp_path, platform.model_dump_json(by_alias=True, exclude_unset=True), platform_env)
    done = subprocess.run(
        [sys.executable, "-m", "slipway.daemon", "-w", "workspace.yaml"],
        env={**env, "SLIPWAY_POSTGRES_URL": "postgresql://slipway:hidden@127.0.0.1:1/slipway"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "error: Postgres does not answer" in done.stderr
    assert "hidden" not in done.stderr
