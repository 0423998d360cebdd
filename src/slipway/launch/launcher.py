"""The run launcher that dagster.yaml names, the same on every runtime."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from dagster import DagsterInstance, DagsterRun, DefaultRunLauncher, MetadataValue
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value

from slipway import config
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.config.presence import is_development
from slipway.launch import diagnosis, escalation, frozen, runtimes
from slipway.launch.adapter import LOG_LINES, Adapter, EngineUnreachable, Phase, WorkerState, WorkOrder
from slipway.launch.environment import run_environment
from slipway.launch.selection import Wishes, choose, location_of, wishes
from slipway.memory import exhaustion
from slipway.profiles import ResolvedProfile

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS = 20
"""How long a launch waits for an engine that does not answer."""


class SlipwayRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Launches each run in a worker of its own, with the limits of its resource profile.

    The profile is resolved once, when the run is launched, and frozen in the run's tags. `SLIPWAY_RUNTIME`
    says what a worker is: a process or a container.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Dagster's record of where this class was configured."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in dagster.yaml."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster takes any run launcher
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> RunLauncher[DagsterInstance]:
        """Made by Dagster when the instance is loaded; Dagster's own launcher under `dg dev`."""
        if is_development(os.environ):
            return DefaultRunLauncher(inst_data)
        return cls(inst_data=inst_data)

    @cached_property
    def _adapter(self) -> Adapter:
        return runtimes.adapter(os.environ, on_exit=self._settle_quietly)

    # Launching

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the run's worker. What the user must mend fails the run with that as its reason."""
        run = context.dagster_run
        try:
            self._launch(context)
        except (UserError, EngineUnreachable) as error:
            self._instance.report_run_failed(run, f"The run was not launched. {error}")

    def _launch(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        platform = config.current()
        location = location_of(context)
        if location not in platform.code_locations:
            known = ", ".join(sorted(platform.code_locations)) or "none"
            raise UserError(f"code location '{location}' is not in platform.yaml; it has: {known}")
        decided, warnings = self._decide(context, platform, location)
        self._instance.add_run_tags(run.run_id, {**decided.tags(), **escalation.renewed(run.tags)})
        for warning in warnings:
            self._instance.report_engine_event(f"Warning: {warning}", run)
        order = self._order(run, platform, location, decided)
        worker = _patiently(lambda: self._adapter.start(order))
        tags = decided.profile.tags()
        number, most = decided.escalation.number, decided.escalation.most
        retry = f", retry {number} of {most} for want of memory" if number else ""
        self._instance.report_engine_event(
            f"Launched {worker} with profile '{decided.profile.name}' ({decided.profile.source}{retry}): "
            f"CPU {tags['slipway/cpu']}, memory {tags['slipway/memory']}, scratch {tags['slipway/scratch']}; "
            f"DuckDB: memory {tags['slipway/duckdb_memory_limit']}, threads {tags['slipway/duckdb_threads']}.",
            run,
            EngineEventData(
                {
                    **{key: MetadataValue.text(value) for key, value in tags.items()},
                    **{
                        key: MetadataValue.text(value)
                        for key, value in sorted(order.env.items())
                        if key.startswith("DUCKDB_")
                    },
                }
            ),
        )

    def _decide(
        self, context: LaunchRunContext, platform: Platform, location: str
    ) -> tuple[frozen.Frozen, list[str]]:
        run = context.dagster_run
        before = frozen.read(run.tags, run.run_id)
        if before is not None:
            return before, []
        chain = escalation.chain(run.tags)
        # A retry's profile is its own, also where it is the one that the job names.
        wished = Wishes() if chain.number else wishes(context)
        profile = choose(platform, location, frozen.requested(run.tags, run.run_id), wished)
        host = _patiently(self._adapter.host)
        fitted, warnings = frozen.fit(profile, host)
        larger = frozen.next_larger(platform, fitted.limits.memory, host)
        after = escalation.decide(platform, fitted, host, chain, self._max_retries(run))
        return frozen.Frozen(run.run_id, fitted, larger, after), warnings

    def _max_retries(self, run: DagsterRun) -> int:
        """What Dagster itself would allow."""
        if not self._instance.run_retries_enabled:
            return 0
        try:
            return int(run.tags.get(MAX_RETRIES_TAG, self._instance.run_retries_max_retries))
        except ValueError:
            return 0

    def _order(self, run: DagsterRun, platform: Platform, location: str, decided: frozen.Frozen) -> WorkOrder:
        origin = run.job_code_origin
        if origin is None:
            raise UserError(
                f"run {run.run_id} does not say which code it runs", "launch it from a code location"
            )
        code = platform.code_locations[location]
        return WorkOrder(
            run_id=run.run_id,
            job_name=run.job_name,
            location=location,
            image=origin.repository_origin.container_image or str(code.image),
            python=origin.repository_origin.executable_path,
            folder=runtimes.platform_folder(os.environ) / code.path,
            arguments=serialize_value(
                ExecuteRunArgs(
                    job_origin=origin,
                    run_id=run.run_id,
                    instance_ref=self._instance.get_ref(),
                    set_exit_code_on_failure=True,
                )
            ),
            env={
                **run_environment(
                    platform,
                    location,
                    decided.profile,
                    os.environ,
                    base=self._adapter.base_environment(),
                    scratch=self._adapter.scratch(run.run_id),
                    duckdb_folder=self._adapter.duckdb_folder(location),
                ),
                exhaustion.VARIABLE: diagnosis.prospect(
                    decided, accounted=self._adapter.accounts()
                ).to_json(),
            },
            profile=decided.profile,
            has_duckdb_file=code.duckdb_file is not None,
        )

    # Terminating

    def terminate(self, run_id: str) -> bool:
        """End the run: its worker is asked, given time to upload its logs, and then killed."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        had_worker = self._adapter.stop(run_id)
        run = self._reload(run_id)
        if run is not None and not run.is_finished:
            reason = "was ended before it could say so itself" if had_worker else "was no longer there"
            self._instance.report_run_canceled(run, f"Run canceled; its worker {reason}.")
        return True

    # Health

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster's monitoring asks this launcher for the state of started runs."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """What the run's worker does. Only a worker that is surely gone fails its run."""
        try:
            state = self._adapter.state(run.run_id)
        except EngineUnreachable as error:
            # Monitoring fails a run whose health is unknown, and this one may be well.
            log.warning("run %s: %s", run.run_id, error)
            return CheckRunHealthResult(WorkerStatus.RUNNING, str(error), transient=True)
        if state.phase in (Phase.WAITING, Phase.RUNNING):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if state.phase is Phase.ABSENT and frozen.read(run.tags, run.run_id) is None:
            # Dagster's own commands, such as `dagster job execute`, run it in their process.
            return CheckRunHealthResult(WorkerStatus.RUNNING, "not launched by Slipway")
        current = self._reload(run.run_id)
        if current is None or current.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        decided = frozen.read(run.tags, run.run_id)
        if state.out_of_memory:
            self._note_out_of_memory(current, decided)
        return CheckRunHealthResult(WorkerStatus.FAILED, diagnosis.ended(state, decided))

    def get_run_worker_debug_info(
        self, run: DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """The worker's state and its own last lines, for the log of a run that failed to start or vanished."""
        try:
            state = self._adapter.state(run.run_id)
            logs = self._adapter.logs(run.run_id) if include_container_logs else ""
        except EngineUnreachable as error:
            return str(error)
        text = f"Run worker: {state.phase.value}" + (
            "" if state.exit_code is None else f", exit code {state.exit_code}"
        )
        return f"{text}\nIts last {LOG_LINES} lines:\n{logs}" if logs else text

    # Escalating

    def successor(self, decided: frozen.Frozen) -> ResolvedProfile:
        """The profile on which a run that was out of memory is retried, as platform.yaml and the host are now.

        Raises:
            NotRetried: there is none any more.
            UserError: platform.yaml cannot be read now.
            EngineUnreachable: it cannot be told now.
        """
        return escalation.successor(
            config.current(), str(decided.escalation.successor), decided.profile, self._adapter.host()
        )

    def scratch(self, run_id: str) -> str:
        """The folder that goes with the run's worker, as the run sees it."""
        return self._adapter.scratch(run_id)

    # Clearing up

    def requeue(self) -> list[str]:
        """Put back into the queue each run whose launch died with its daemon, before there was a worker.

        Call it before anything launches runs. Ids of the runs that were put back.
        """
        starting = self._instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTING]))
        lost = [run for run in starting if self._has_no_worker(run.run_id)]
        for run in lost:
            self._instance.report_engine_event(
                "The daemon ended while it launched this run; queued again.", run
            )
            self._instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
        return [run.run_id for run in lost]

    def _has_no_worker(self, run_id: str) -> bool:
        try:
            phase = _patiently(lambda: self._adapter.state(run_id)).phase
        except EngineUnreachable as error:
            log.warning("run %s: %s", run_id, error)
            return False
        return phase in (Phase.ABSENT, Phase.WAITING)

    def sweep(self) -> None:
        """Settle every run whose worker ended: fail it if it is not over, note an OOM kill, remove what is left."""
        try:
            ended = list(self._adapter.exited())
        except EngineUnreachable as error:
            log.warning("%s", error)
            return
        for run_id in ended:
            self._settle_quietly(run_id)

    def _settle_quietly(self, run_id: str) -> None:
        try:
            self._settle(run_id)
        except Exception:
            log.exception("run %s could not be settled; the next sweep tries again", run_id)

    def _settle(self, run_id: str) -> None:
        state = self._adapter.state(run_id)
        if state.phase is Phase.RUNNING:
            return
        run = self._reload(run_id)
        if run is not None:
            decided = frozen.read(run.tags, run_id)
            if not run.is_finished and state.phase is Phase.WAITING:
                return
            if not run.is_finished:
                self._finish(run, state, decided)
            elif (
                state.out_of_memory
                and run.status is DagsterRunStatus.FAILURE
                and exhaustion.state(run.tags, run_id) is None
            ):
                # Its own processes could not see why: an image without our storage, or without its cgroup.
                self._note_out_of_memory(run, decided)
                self._instance.report_engine_event(diagnosis.out_of_memory(decided, state.peak), run)
        self._adapter.remove(run_id)

    def _note_out_of_memory(self, run: DagsterRun, decided: frozen.Frozen | None) -> None:
        """Tag the run with what becomes of it."""
        if decided is not None and run.status is not DagsterRunStatus.CANCELING:
            self._instance.add_run_tags(run.run_id, exhaustion.state_tags(decided.escalation.state))

    def _finish(self, run: DagsterRun, state: WorkerState, decided: frozen.Frozen | None) -> None:
        if run.status is DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run)
            return
        message = diagnosis.ended(state, decided)
        if state.out_of_memory:
            self._note_out_of_memory(run, decided)
        logs = self._adapter.logs(run.run_id)
        self._instance.report_run_failed(run, f"{message}\nIts last lines:\n{logs}" if logs else message)

    def _reload(self, run_id: str) -> DagsterRun | None:
        return self._instance.get_run_by_id(run_id)


def _patiently(action: Callable[[], T]) -> T:
    """Try again for a while: a gate that is restarted costs the runs of that moment a wait, not their lives."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return action()
        except EngineUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
