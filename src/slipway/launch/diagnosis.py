"""Why a run worker ended without its run: one sentence that names the limit and the way out."""

from __future__ import annotations

import signal

from slipway.config.quantity import format_bytes, format_cpu
from slipway.launch.adapter import Phase, WorkerState
from slipway.launch.escalation import outlook
from slipway.launch.frozen import Frozen
from slipway.memory import exhaustion


def prospect(frozen: Frozen, *, accounted: bool) -> exhaustion.Outlook:
    """What is told and done when the run is out of memory: the limit, the profile, and what follows."""
    return exhaustion.Outlook(
        run_id=frozen.run_id,
        profile=frozen.profile.name,
        limit=frozen.profile.limits.memory,
        then=outlook(frozen.escalation, frozen.larger),
        state=frozen.escalation.state,
        accounted=accounted,
    )


def out_of_memory(frozen: Frozen | None, peak: int | None) -> str:
    """What an OOM kill is told as."""
    killed = "the kernel killed the run, or a process of it,"
    if frozen is None:
        return f"{exhaustion.PREFIX}{killed} at its memory limit."
    return prospect(frozen, accounted=True).sentence(killed, peak)


def ended(state: WorkerState, frozen: Frozen | None) -> str:
    """Why a run failed whose worker is gone although the run had not ended."""
    if state.out_of_memory:
        return out_of_memory(frozen, state.peak)
    if state.cause is not None:
        return f"The run worker ended before the run did. {state.cause}"
    if state.exit_code is None:
        return "The run worker ended before the run did, and nothing tells why: it was killed or removed from outside."
    if state.exit_code == 0:
        return "The run worker ended as if all were well, before the run did."
    return f"The run worker ended before the run did: {_exit(state.exit_code)}."


def delayed(state: WorkerState, frozen: Frozen | None) -> str:
    """Why a run has not started, whose worker was launched."""
    if state.obstacle is None:
        return _NOT_STARTED[state.phase]
    if not state.obstacle.of_resources or frozen is None:
        return state.obstacle.message
    profile = frozen.profile
    cpu, memory = profile.requests.cpu or profile.limits.cpu, profile.requests.memory or profile.limits.memory
    return (
        f"{state.obstacle.message} Profile '{profile.name}' requests CPU {format_cpu(cpu)} and memory"
        f" {format_bytes(memory)}, with limits of {format_cpu(profile.limits.cpu)} and"
        f" {format_bytes(profile.limits.memory)}."
    )


_NOT_STARTED = {
    Phase.ABSENT: "It has no worker any more.",
    Phase.WAITING: "Its worker was made and not started.",
    Phase.PENDING: "Its pod is still being prepared, and Kubernetes does not say why.",
    Phase.RUNNING: "Its worker runs, and has not come to the run.",
    Phase.EXITED: "Its worker has ended.",
}


def _exit(code: int) -> str:
    if code > 128:
        try:
            return f"killed by {signal.Signals(code - 128).name}"
        except ValueError:
            pass
    return f"exit code {code}"
