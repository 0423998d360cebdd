"""Why a run worker ended without its run: one sentence that names the limit and the way out."""

from __future__ import annotations

import signal

from slipway.launch.adapter import WorkerState
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
    if state.exit_code is None:
        return "The run worker ended before the run did, and nothing tells why: it was killed or removed from outside."
    if state.exit_code == 0:
        return "The run worker ended as if all were well, before the run did."
    return f"The run worker ended before the run did: {_exit(state.exit_code)}."


def _exit(code: int) -> str:
    if code > 128:
        try:
            return f"killed by {signal.Signals(code - 128).name}"
        except ValueError:
            pass
    return f"exit code {code}"
