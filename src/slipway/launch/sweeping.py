"""What the daemon does for runs beside launching them: it settles those whose workers ended, tells of those that cannot
start, ends what should not run any more, and clears up.

All is found from the runs and their workers at each pass, so a daemon that is killed leaves nothing undone.
"""

from __future__ import annotations

import logging
import re
import time

from dagster import DagsterInstance, DagsterRun
from dagster._core.events import DagsterEvent, DagsterEventType, JobFailureData, RunFailureReason
from dagster._core.storage.dagster_run import DagsterRunStatus, RunsFilter

from slipway.launch import diagnosis, frozen
from slipway.launch.adapter import Adapter, EngineUnreachable, Phase, WorkerState
from slipway.launch.launches import Launches
from slipway.memory import exhaustion

log = logging.getLogger(__name__)

LINGER_SECONDS = 60
"""A worker that lives on so long after its run has failed or was canceled is ended."""


class Sweeper:
    """One pass after the other over the workers of a runtime."""

    def __init__(self, instance: DagsterInstance, adapter: Adapter, launches: Launches) -> None:
        self._instance = instance
        self._adapter = adapter
        self._launches = launches
        self._told: set[tuple[str, str]] = set()
        self._ended_here: set[str] = set()
        self._undecided: set[str] = set()
        """Launched by an earlier daemon, or not."""

    def sweep(self) -> None:
        """One pass. An engine that does not answer ends it; the next one comes in a moment."""
        try:
            self._look_at_workers()
            self._look_at_starting()
            self._stop_canceled()
        except EngineUnreachable as error:
            log.warning("%s", error)

    def requeue(self) -> list[str]:
        """Put back into the queue each run whose launch died with its daemon, before there was a worker.

        Call it before anything launches runs. While the engine is away it cannot be told; sweeps do it later.
        Ids of the runs that were put back at once.
        """
        queued = []
        for run in self._runs(DagsterRunStatus.STARTING):
            try:
                if self._queue_again(run, self._adapter.state(run.run_id)):
                    queued.append(run.run_id)
            except EngineUnreachable as error:
                log.warning("run %s: %s", run.run_id, error)
                self._undecided.add(run.run_id)
        return queued

    def _queue_again(self, run: DagsterRun, state: WorkerState) -> bool:
        """Whether it had to be: no worker of it is there, nor one that its engine would start."""
        if state.phase not in (Phase.ABSENT, Phase.WAITING):
            return False
        self._instance.report_engine_event("The daemon ended while it launched this run; queued again.", run)
        self._instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
        return True

    # Workers that ended, or should have

    def _look_at_workers(self) -> None:
        workers = self._adapter.workers()
        for run_id, phase in workers.items():
            if phase is not Phase.RUNNING:
                self.settle(run_id)
        self._end_lingering([run_id for run_id, phase in workers.items() if phase is Phase.RUNNING])

    def settle(self, run_id: str) -> None:
        """Fail the run of a worker that ended, if it is not over; note an OOM kill; remove what is left."""
        try:
            self._settle(run_id)
        except EngineUnreachable as error:
            log.warning("run %s: %s", run_id, error)
        except Exception:
            log.exception("run %s could not be settled; the next sweep tries again", run_id)

    def _settle(self, run_id: str) -> None:
        state = self._adapter.state(run_id)
        if state.phase is Phase.RUNNING:
            return
        run = self._reload(run_id)
        if run is not None:
            decided = frozen.read(run.tags, run_id)
            if not run.is_finished and state.phase in (Phase.WAITING, Phase.PENDING):
                return
            if not run.is_finished:
                self._finish(run, state, decided)
            elif run.status is DagsterRunStatus.FAILURE:
                self._explain(run, state, decided)
        self._adapter.remove(run_id)
        self._ended_here.discard(run_id)

    def _explain(self, run: DagsterRun, state: WorkerState, decided: frozen.Frozen | None) -> None:
        """Tell what a run that failed by its own account could not see."""
        if state.out_of_memory and exhaustion.state(run.tags, run.run_id) is None:
            # An image without our storage, or without its cgroup.
            self.note_out_of_memory(run, decided)
            self._instance.report_engine_event(diagnosis.out_of_memory(decided, state.peak), run)
        elif state.cause and run.run_id not in self._ended_here:
            self._tell(run, state.cause, state.cause)

    def note_out_of_memory(self, run: DagsterRun, decided: frozen.Frozen | None) -> None:
        """Tag the run with what becomes of it."""
        if decided is not None and run.status is not DagsterRunStatus.CANCELING:
            self._instance.add_run_tags(run.run_id, exhaustion.state_tags(decided.escalation.state))

    def _finish(self, run: DagsterRun, state: WorkerState, decided: frozen.Frozen | None) -> None:
        if run.status is DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run)
            return
        message = diagnosis.ended(state, decided)
        if state.out_of_memory:
            self.note_out_of_memory(run, decided)
        self._instance.report_run_failed(run, message + self._last_lines(run.run_id))

    def _last_lines(self, run_id: str) -> str:
        """What the worker itself said last, where that can be had: a node that is lost has taken it along."""
        try:
            logs = self._adapter.logs(run_id)
        except EngineUnreachable as error:
            log.warning("run %s: its last lines cannot be read: %s", run_id, error)
            return ""
        return f"\nIts last lines:\n{logs}" if logs else ""

    def _end_lingering(self, run_ids: list[str]) -> None:
        if not run_ids:
            return
        over = [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
        for record in self._instance.get_run_records(RunsFilter(run_ids=run_ids, statuses=over)):
            if record.end_time and time.time() - record.end_time > LINGER_SECONDS:
                run_id = record.dagster_run.run_id
                log.info("run %s is over, and its worker is not; it is ended", run_id)
                self._end(run_id)

    def _end(self, run_id: str) -> None:
        self._ended_here.add(run_id)
        self._adapter.stop(run_id)

    # Workers that do not start

    def _look_at_starting(self) -> None:
        starting = self._runs(DagsterRunStatus.STARTING)
        self._launches.forget_all_but([run.run_id for run in starting])
        self._told = {told for told in self._told if told[0] in {run.run_id for run in starting}}
        if not starting:
            return
        timeout = self._adapter.platform().defaults.start_timeout
        for run in starting:
            if not self._launches.is_launching(run.run_id):
                self._look_at_start(run, timeout)

    def _look_at_start(self, run: DagsterRun, timeout: int) -> None:
        state = self._adapter.state(run.run_id)
        if run.run_id in self._undecided:
            self._undecided.discard(run.run_id)
            if self._queue_again(run, state):
                return
        if state.phase is Phase.EXITED:
            return
        why = diagnosis.delayed(state, frozen.read(run.tags, run.run_id))
        if state.obstacle is not None:
            self._tell(run, state.obstacle.kind, f"The run cannot start yet. {why}")
        launched = self._launches.launched(run.run_id, lambda: self._launch_time(run))
        if time.time() - launched > timeout:
            self._give_up(run, state, f"The run did not start within {timeout} s of its launch. {why}")

    def _launch_time(self, run: DagsterRun) -> float:
        return self._instance.get_run_stats(run.run_id).launch_time or time.time()

    def _give_up(self, run: DagsterRun, state: WorkerState, message: str) -> None:
        logs = self._last_lines(run.run_id) if state.phase is Phase.RUNNING else ""
        current = self._reload(run.run_id)
        if current is None or current.status is not DagsterRunStatus.STARTING:
            return
        # The run first: its worker, asked to end, would find a reason of its own.
        self._instance.report_run_failed(
            current,
            message + logs,
            JobFailureData(error=None, failure_reason=RunFailureReason.START_TIMEOUT),
        )
        self._end(run.run_id)
        self._adapter.remove(run.run_id)

    def _tell(self, run: DagsterRun, kind: str, message: str) -> None:
        """Say it on the run, once: not again by another daemon, nor when two reasons alternate."""
        if (run.run_id, kind) in self._told:
            return
        events = self._instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        if _wording(message) not in {_wording(event.message) for event in events}:
            self._instance.report_engine_event(message, run)
        self._told.add((run.run_id, kind))

    # Runs that are being canceled

    def _stop_canceled(self) -> None:
        """Where the service that was asked to cancel a run may not end its worker."""
        if self._adapter.stops_anywhere():
            return
        for run in self._runs(DagsterRunStatus.CANCELING):
            if self._launches.is_launching(run.run_id):
                continue
            if self._adapter.state(run.run_id).phase is Phase.ABSENT:
                current = self._reload(run.run_id)
                if current is not None and not current.is_finished:
                    self._instance.report_run_canceled(
                        current, "Run canceled; its worker ended before it could say so itself, or never was."
                    )
            else:
                self._end(run.run_id)

    def _runs(self, status: DagsterRunStatus) -> list[DagsterRun]:
        return list(self._instance.get_runs(RunsFilter(statuses=[status])))

    def _reload(self, run_id: str) -> DagsterRun | None:
        return self._instance.get_run_by_id(run_id)


def _wording(message: str) -> str:
    return re.sub(r"\d+", "n", message)
