"""The run launcher that dagster.yaml names, the same on every runtime."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from dagster import DagsterInstance, DagsterRun, DefaultRunLauncher, MetadataValue
from dagster._core.events import EngineEventData
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value

from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.config.presence import is_development
from slipway.launch import diagnosis, escalation, frozen, runtimes
from slipway.launch.adapter import LOG_LINES, Adapter, EngineUnreachable, Phase, WorkOrder
from slipway.launch.environment import run_environment
from slipway.launch.launches import Interrupted, Launches
from slipway.launch.selection import Wishes, choose, location_of, wishes
from slipway.launch.sweeping import Sweeper
from slipway.memory import exhaustion
from slipway.profiles import ResolvedProfile

log = logging.getLogger(__name__)


class SlipwayRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Launches each run in a worker of its own, with the limits of its resource profile.

    The profile is resolved once, when the run is launched, and frozen in the run's tags. `SLIPWAY_RUNTIME`
    says what a worker is: a process, a container or a pod.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._launches = Launches()
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
        return runtimes.adapter(os.environ, on_exit=lambda run_id: self._sweeper.settle(run_id))

    @cached_property
    def _sweeper(self) -> Sweeper:
        return Sweeper(self._instance, self._adapter, self._launches)

    # Launching

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the run's worker. What the user must mend fails the run with that as its reason."""
        run = context.dagster_run
        try:
            with self._launches.launching(run.run_id):
                self._launch(context)
        except (UserError, EngineUnreachable) as error:
            self._instance.report_run_failed(run, f"The run was not launched. {error}")
        except Interrupted:
            # It has no worker, so the next daemon queues it again.
            log.info("run %s: the daemon ends before it could be launched", run.run_id)

    def _launch(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        platform = self._adapter.platform()
        location = location_of(context)
        if location not in platform.code_locations:
            known = ", ".join(sorted(platform.code_locations)) or "none"
            raise UserError(f"code location '{location}' is not in platform.yaml; it has: {known}")
        decided, told = self._decide(context, platform, location)
        self._instance.add_run_tags(run.run_id, {**decided.tags(), **escalation.renewed(run.tags)})
        for sentence in told:
            self._instance.report_engine_event(sentence, run)
        order = self._order(run, platform, location, decided)
        worker = self._launches.patiently(lambda: self._start(order))
        if worker is None:
            return
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
                        if key.startswith("DUCKDB_") and isinstance(value, str)
                    },
                }
            ),
        )

    def _start(self, order: WorkOrder) -> str | None:
        """Start the worker, unless somebody has canceled the run meanwhile."""
        run = self._instance.get_run_by_id(order.run_id)
        if run is None or run.is_finished or run.status is DagsterRunStatus.CANCELING:
            return None
        return self._adapter.start(order)

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
        chosen = choose(platform, location, frozen.requested(run.tags, run.run_id), wished)
        profile, told = self._adapter.adjusted(chosen, run.tags)
        host = self._launches.patiently(self._adapter.host)
        fitted, warnings = frozen.fit(profile, host)
        larger = frozen.next_larger(platform, fitted.limits.memory, host)
        after = escalation.decide(
            platform, fitted, host, chain, self._max_retries(run), adjust=self._adjusting(run.tags)
        )
        return frozen.Frozen(run.run_id, fitted, larger, after), [
            *told,
            *(f"Warning: {warning}" for warning in warnings),
        ]

    def _adjusting(self, tags: Mapping[str, str]) -> escalation.Adjust:
        return lambda profile: self._adapter.adjusted(profile, tags)[0]

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
            image=origin.repository_origin.container_image or self._adapter.image(platform, location),
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
                    self._adapter.resolver(platform),
                    self._adapter.surroundings(run.run_id, location),
                ),
                exhaustion.VARIABLE: diagnosis.prospect(
                    decided, accounted=self._adapter.accounts()
                ).to_json(),
            },
            profile=decided.profile,
            has_duckdb_file=code.duckdb_file is not None,
            tags=run.tags,
            platform=platform,
        )

    # Terminating

    def terminate(self, run_id: str) -> bool:
        """End the run: its worker is asked, given time to upload its logs, and then killed.

        Where this service may not do so, the daemon's next sweep does.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        if not self._adapter.stops_anywhere():
            return True
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
        if state.phase in (Phase.WAITING, Phase.PENDING, Phase.RUNNING):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if state.phase is Phase.ABSENT and frozen.read(run.tags, run.run_id) is None:
            # Dagster's own commands, such as `dagster job execute`, run it in their process.
            return CheckRunHealthResult(WorkerStatus.RUNNING, "not launched by Slipway")
        current = self._reload(run.run_id)
        if current is None or current.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        decided = frozen.read(run.tags, run.run_id)
        if state.out_of_memory:
            self._sweeper.note_out_of_memory(current, decided)
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

    def successor(self, decided: frozen.Frozen, tags: Mapping[str, str]) -> ResolvedProfile:
        """The profile on which a run that was out of memory is retried, as platform.yaml and the host are now.

        Args:
            decided: what was frozen when the run was launched.
            tags: the run's, which its retry has too.

        Raises:
            NotRetried: there is none any more.
            UserError: platform.yaml cannot be read now.
            EngineUnreachable: it cannot be told now.
        """
        return escalation.successor(
            self._adapter.platform(),
            str(decided.escalation.successor),
            decided.profile,
            self._adapter.host(),
            adjust=self._adjusting(tags),
        )

    def scratch(self, run_id: str) -> str:
        """The folder that goes with the run's worker, as the run sees it."""
        return self._adapter.scratch(run_id)

    # Clearing up

    def requeue(self) -> list[str]:
        """Put back into the queue each run whose launch died with its daemon, before there was a worker.

        Call it before anything launches runs. While the engine is away it cannot be told; sweeps do it later.
        Ids of the runs that were put back at once.
        """
        return self._sweeper.requeue()

    def sweep(self) -> None:
        """Settle the runs whose workers ended or do not start, end what was canceled, and clear up."""
        self._sweeper.sweep()

    def interrupt(self) -> None:
        """Launches that wait for the engine do so no longer: this process ends."""
        self._launches.end()

    def _reload(self, run_id: str) -> DagsterRun | None:
        return self._instance.get_run_by_id(run_id)
