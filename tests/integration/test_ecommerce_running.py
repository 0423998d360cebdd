"""The ecommerce location on a running platform: a landing, a backfill, automation and freshness, by its daemon."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_graphql.test.utils import execute_dagster_graphql

import platform_home
from slipway import config
from slipway.aws import s3_client
from slipway.config.connections import S3Settings
from slipway.database.engine import engine
from slipway.landing import intake
from slipway.launch import process
from slipway.ops.bootstrap import bootstrap
from slipway.resources import LakeResource
from waiting import until

ROOT = Path(__file__).parents[2]
LOCATION = ROOT / "code_locations" / "ecommerce"

BACKFILL = """mutation($days: [String!]!, $assets: [AssetKeyInput!]!) {
  launchPartitionBackfill(backfillParams: {partitionNames: $days, assetSelection: $assets}) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""

TICKS = """{ sensorOrError(sensorSelector: {repositoryLocationName: "ecommerce", repositoryName: "__repository__",
  sensorName: "automation"}) { ... on Sensor { sensorState { status ticks { status timestamp } } } } }"""

DAYS = ["2018-09-01", "2018-09-02"]

STORE = b'{"id": "new", "name": "Boston", "opened_at": "2018-09-03T00:00:00", "tax_rate": 0.05}\n'


@dataclass
class Running:
    """The platform, asked as the UI asks it."""

    instance: DagsterInstance
    workspace: WorkspaceProcessContext
    bucket: str
    s3: Any
    log: Path
    daemon: tuple[str, ...]
    env: dict[str, str]

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        result = execute_dagster_graphql(self.workspace.create_request_context(), query, variables)
        assert not result.errors, result.errors
        return result.data

    def load_by_hand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The landing's job as a run of this process."""
        monkeypatch.syspath_prepend(str(LOCATION / "src"))
        monkeypatch.setenv("SLIPWAY_LOCATION", "ecommerce")
        from ecommerce.definitions import defs

        platform = config.current(self.env)
        landing = platform.landing["jaffle_shop"]
        database = engine(self.env["SLIPWAY_POSTGRES_URL"])
        while not intake.reconcile(database, self.s3, "jaffle_shop", landing, 60).complete:
            pass
        job = defs().get_repository_def().get_job("load_jaffle_shop")
        assert job.execute_in_process(instance=self.instance).success

    def backfill(self, days: list[str], *assets: str) -> str:
        answer = self.ask(BACKFILL, days=days, assets=[{"path": [name]} for name in assets])
        assert answer["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", answer
        return answer["launchPartitionBackfill"]["backfillId"]

    def made(self, asset: str) -> set[str]:
        """Partitions of an asset that are there."""
        return self.instance.get_materialized_partitions(AssetKey(asset))

    def runs(self, **tags: str) -> Counter[str]:
        """How many runs there are of each selection of assets, or job."""
        found = self.instance.get_runs(RunsFilter(tags=tags))
        assert DagsterRunStatus.FAILURE not in {run.status for run in found}, self.story()
        return Counter(
            " ".join(sorted(key.to_user_string() for key in run.asset_selection or ())) or run.job_name
            for run in found
        )

    def landed(self) -> float | None:
        """When the run of the daemon's sensor ended; None before."""
        tagged = RunsFilter(job_name="load_jaffle_shop", tags={"slipway/landing": "jaffle_shop"})
        records = self.instance.get_run_records(tagged)
        return records[0].end_time if records and records[0].dagster_run.is_success else None

    def ticks_after(self, moment: float) -> int:
        """Evaluations of the automation conditions that began after a moment."""
        state = self.ask(TICKS)["sensorOrError"]["sensorState"]
        assert state["status"] == "RUNNING"
        return len(
            [tick for tick in state["ticks"] if tick["timestamp"] > moment and tick["status"] != "STARTED"]
        )

    def story(self) -> str:
        """The ends of the logs: of each run that has not succeeded, and of the services."""
        runs = [run for run in self.instance.get_runs() if not run.is_success]
        lines = [
            f"{run.job_name} {run.status.value} {entry.timestamp:.0f}: {entry.message}"
            for run in runs
            for entry in self.instance.all_logs(run.run_id)[-12:]
        ]
        return "\n".join([*lines, self.log.read_text()[-2000:]])


@contextmanager
def started(*arguments: str | Path, env: dict[str, str], log: Path) -> Iterator[None]:
    """A process in a session of its own, ended with all that it started."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield
        assert child.poll() is None, log.read_text()[-8000:]
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


@pytest.fixture
def running(
    platform_env: dict[str, str], s3_settings: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    unique = uuid.uuid4().hex
    platform = {
        "observability": {"compute_logs": {"enabled": False}},
        "lake": {"bucket": f"lake-{unique}"},
        "landing": {"jaffle_shop": {"bucket": f"landing-{unique}", "mode": "events"}},
        "code_locations": {
            "ecommerce": {
                "path": str(LOCATION),
                "image": {"repository": "slipway/ecommerce", "tag": "test"},
                # not installed here
                "env": {"PYTHONPATH": str(LOCATION / "src")},
            }
        },
    }
    env = platform_home.environment(tmp_path / "platform", json.dumps(platform), platform_env)
    env["PYTHONPATH"] = str(LOCATION / "src")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: ecommerce}}\n"
    )
    log = tmp_path / "log"
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    bootstrap(config.current(env), env, lambda line: None, 30)
    server = (
        "dagster",
        "api",
        "grpc",
        "-p",
        str(port),
        "-m",
        "ecommerce.definitions",
        "--location-name",
        "ecommerce",
    )
    s3 = s3_client(s3_settings)
    with (
        started(*server, env={**env, "SLIPWAY_LOCATION": "ecommerce"}, log=log),
        DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, WorkspaceFileTarget([str(workspace)])) as context,
    ):
        for path in (LOCATION / "sample").rglob("*.*"):
            s3.upload_file(str(path), f"landing-{unique}", path.relative_to(LOCATION / "sample").as_posix())
        until(lambda: _loads(context), 120, log.read_text)
        yield Running(
            instance, context, f"landing-{unique}", s3, log, ("slipway.daemon", "-w", str(workspace)), env
        )
    process.clear(Path(env["SLIPWAY_STATE"]))


def _loads(context: WorkspaceProcessContext) -> bool:
    if not context.create_request_context().code_locations:
        context.refresh_workspace()
    return bool(context.create_request_context().code_locations)


def test_a_landing_a_backfill_automation_and_freshness(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.load_by_hand(monkeypatch)
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    past = running.backfill(["2018-09-01", "2018-09-02"], "daily_orders", "regional_sales")
    running.backfill([yesterday], "daily_orders")
    running.s3.put_object(Bucket=running.bucket, Key="stores/2018-09-03.jsonl", Body=STORE)

    with started(*running.daemon, env=running.env, log=running.log):
        regions = {f"{day}|{region}" for day in DAYS for region in ("east", "central", "west", "other")}
        until(lambda: regions <= running.made("regional_sales"), 240, running.story)
        assert running.made("daily_orders") == {*DAYS, yesterday}
        # Nobody asked for the regions of yesterday: their condition saw that the day was made.
        until(lambda: len(running.made("regional_sales")) == len(regions) + 4, 120, running.story)
        until(lambda: running.landed() is not None, 60, running.story)
        until(lambda: running.ticks_after(running.landed() or 0) >= 1, 90, running.story)

        def fresh() -> bool:
            records = running.instance.get_freshness_state_records([AssetKey("fct_orders")])
            return [record.freshness_state for record in records.values()] == [FreshnessState.PASS]

        until(fresh, 90, running.story)

    with LakeResource().connect(read_only=True) as lake:
        by_day = "SELECT CAST(day AS VARCHAR), sum(orders) FROM daily.daily_orders GROUP BY 1 ORDER BY 1"
        facts = "SELECT CAST(order_date AS VARCHAR), count(*) FROM marts.fct_orders GROUP BY 1 ORDER BY 1"
        by_region = "SELECT CAST(day::DATE AS VARCHAR), orders FROM reports.regional_sales ORDER BY 1"
        expected = lake.execute(facts).fetchall()
        assert [day for day, _ in expected] == DAYS
        assert lake.execute(by_day).fetchall() == lake.execute(by_region).fetchall() == expected
    # days in a row are one run; their regions are one for each day, or for each region when those are fewer
    assert running.runs(**{"dagster/backfill": past}) == {"daily_orders": 1, "regional_sales": 2}
    assert running.runs().keys() == {"load_jaffle_shop", "daily_orders", "regional_sales"}, (
        "a mart was made twice"
    )
    assert running.runs()["load_jaffle_shop"] == 2
