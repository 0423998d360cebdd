"""An instance with our launcher and a workspace of one location, for tests that launch runs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import AssetKey, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.events import DagsterEventType
from dagster._core.launcher import WorkerStatus
from dagster._core.remote_representation.code_location import CodeLocation
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.test_utils import create_run_for_test, create_test_daemon_workspace_context
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster._daemon.monitoring.concurrency import execute_concurrency_slots_iteration
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_graphql.schema import create_schema

from slipway.daemon.retries import OtherRetries, Retries
from waiting import until

ROOT = Path(__file__).resolve().parent.parent

PLATFORM = """
observability: {compute_logs: {enabled: false}}
infrastructure:
  resource_profiles:
    small:
      requests: {cpu: 250m, memory: 512Mi}
      limits: {cpu: "1", memory: 1Gi, ephemeral-storage: 2Gi}
    medium:
      requests: {cpu: 500m, memory: 512Mi}
      limits: {cpu: "2", memory: 2Gi, ephemeral-storage: 2Gi}
    tight:
      limits: {cpu: "1", memory: 640Mi, ephemeral-storage: 2Gi}
      on_oom: small
    patient:
      limits: {cpu: "1", memory: 640Mi, ephemeral-storage: 2Gi}
      on_oom: stepping
      max_oom_retries: 2
    stepping:
      limits: {cpu: "1", memory: 768Mi, ephemeral-storage: 2Gi}
      on_oom: small
    transform:
      requests: {cpu: "1", memory: 1Gi}
      limits: {cpu: "512", memory: 4096Gi}
    impossible:
      requests: {cpu: "1", memory: 4096Gi}
      limits: {cpu: "1", memory: 4096Gi}
code_locations:
  launched:
    path: launched
    image: {repository: slipway-test/launched, tag: latest}
    profile: small
    duckdb_file: launched.duckdb
    env:
      LOCATION_VALUE: plain
      LOCATION_SECRET: {env: DAEMON_SECRET}
  other:
    path: launched
    image: {repository: slipway-test/other, tag: latest}
    env: {OTHER_VALUE: not for launched}
"""


class Launching:
    """Launches runs of the one location and waits for what becomes of them."""

    def __init__(self, instance: DagsterInstance, workspace: WorkspaceProcessContext) -> None:
        self.instance = instance
        self._workspace = workspace

    @property
    def _location(self) -> CodeLocation:
        return self._workspace.create_request_context().get_code_location("launched")

    @property
    def _repository(self) -> RemoteRepository:
        return self._location.get_repository("__repository__")

    def create(
        self,
        job: str,
        *,
        config: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        assets: Sequence[str] | None = None,
    ) -> DagsterRun:
        """A run as the UI would create it."""
        remote = self._repository.get_full_job(job)
        run_config = {"ops": config} if config else {}
        plan = (
            None
            if assets
            else self._location.get_execution_plan(remote, run_config, None, None, self.instance)
        )
        return create_run_for_test(
            self.instance,
            job_name=job,
            run_config=run_config,
            tags={**remote.tags, **(tags or {})},
            remote_job_origin=remote.get_remote_origin(),
            job_code_origin=remote.get_python_origin(),
            job_snapshot=remote.job_snapshot,
            execution_plan_snapshot=plan.execution_plan_snapshot if plan else None,
            asset_selection=frozenset(AssetKey(name) for name in assets) if assets else None,
            asset_graph=self._repository.asset_graph,
        )

    def launch(self, run: DagsterRun) -> str:
        self.instance.launch_run(run.run_id, self._workspace.create_request_context())
        return run.run_id

    def run(self, job: str, **arguments: Any) -> str:
        """Create and launch; the run's id."""
        return self.launch(self.create(job, **arguments))

    def submit(self, job: str, **arguments: Any) -> str:
        """Create, and put into the queue; the run's id."""
        run = self.create(job, **arguments)
        self.instance.submit_run(run.run_id, self._workspace.create_request_context())
        return run.run_id

    def dequeue(self) -> None:
        """One pass of the queue: it launches what the limits allow."""
        with QueuedRunCoordinatorDaemon(interval_seconds=1) as queue:
            for error in queue.run_iteration(self._workspace):
                assert error is None, error

    def asked(self, query: str) -> Any:
        """What the webserver answers to its UI."""
        result = create_schema().execute(query, context_value=self._workspace.create_request_context())
        assert not result.errors, result.errors
        return result.data

    def monitor(self) -> None:
        """One pass of Dagster's own run monitoring."""
        for error in execute_run_monitoring_iteration(self._workspace, logging.getLogger("monitoring")):
            assert error is None, error

    def free_pools(self) -> None:
        """One pass of the monitoring of pools."""
        for error in execute_concurrency_slots_iteration(self._workspace, logging.getLogger("monitoring")):
            assert error is None, error

    def is_healthy(self, run_id: str) -> bool:
        """Whether the launcher sees the run's worker at work."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return self.instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING

    def retry_pending(self) -> None:
        """What the sweep daemon does after its sweep."""
        Retries().make(self._workspace)

    def other_retries(self, run_id: str) -> None:
        """What the daemon of Dagster's automatic retries does when it sees that the run ended."""
        (handle,) = OtherRetries().handle_updated_runs_fns
        records = self.instance.get_run_records(RunsFilter(run_ids=[run_id]))
        list(handle(self._workspace, records, logging.getLogger("retries")))

    def children(self, run_id: str) -> list[DagsterRun]:
        """The re-executions of a run."""
        return list(self.instance.get_runs(RunsFilter(tags={"dagster/parent_run_id": run_id})))

    def retried(self, run_id: str) -> str:
        """Make the retry of a run as the daemons do, and launch it as the queue does; its id."""
        self.retry_pending()
        self.other_retries(run_id)
        (retry,) = self.children(run_id)
        assert retry.status is DagsterRunStatus.QUEUED
        return self.launch(retry)

    def status(self, run_id: str) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def tags(self, run_id: str) -> Mapping[str, str]:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.tags

    def finished(self, run_id: str, seconds: float = 120) -> DagsterRunStatus:
        """Wait until the run is over."""
        until(lambda: self._over(run_id), seconds, lambda: self.story(run_id))
        return self.status(run_id)

    def _over(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        return run is not None and run.is_finished

    def messages(self, run_id: str) -> list[str]:
        return [event.message for event in self.instance.all_logs(run_id)]

    def story(self, run_id: str) -> str:
        """The run's log, for messages of failed tests."""
        return "\n".join(
            f"{event.message} {event.dagster_event.engine_event_data.error if event.dagster_event and event.dagster_event.is_engine_event else ''}"
            for event in self.instance.all_logs(run_id)
        )

    def says(self, run_id: str, text: str, seconds: float = 60) -> None:
        """Wait until the run's log has a message with this text."""
        until(
            lambda: any(text in message for message in self.messages(run_id)),
            seconds,
            lambda: self.story(run_id),
        )

    def failure(self, run_id: str) -> str:
        """Why the run failed."""
        (event,) = self.instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE)
        return event.message

    def step_error(self, run_id: str) -> str:
        """The error of the step that failed, as the UI shows it."""
        (event,) = self.instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE)
        assert event.dagster_event is not None
        return event.dagster_event.step_failure_data.error_display_string

    def materialization(self, asset: str) -> dict[str, Any]:
        """Metadata of the asset's latest materialisation."""
        event = self.instance.get_latest_materialization_event(AssetKey(asset))
        assert event is not None
        assert event.asset_materialization is not None
        return {key: value.value for key, value in event.asset_materialization.metadata.items()}


@contextmanager
def launching(home: Path, target: WorkspaceLoadTarget) -> Iterator[Launching]:
    """An instance in `home` with the platform's dagster.yaml, and the location that `target` loads."""
    shutil.copy(ROOT / "dagster.yaml", home)
    with (
        DagsterInstance.from_config(str(home)) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        yield Launching(instance, workspace)
