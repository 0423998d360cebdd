"""Why a run worker ended without its run: one sentence that names the limit and the way out."""

from __future__ import annotations

import signal

from slipway.config.quantity import format_bytes
from slipway.launch.adapter import WorkerState
from slipway.launch.frozen import Frozen


def out_of_memory(frozen: Frozen | None) -> str:
    """What an OOM kill is told as: the limit, the profile, and the next larger one."""
    if frozen is None:
        return "Out of memory: the kernel killed the run worker or a process of it at its memory limit."
    profile = frozen.profile
    way_out = (
        f"the next larger profile is '{frozen.larger}' (run tag slipway/profile)"
        if frozen.larger
        else "no larger profile is defined in platform.yaml"
    )
    return (
        f"Out of memory: the kernel killed the run, or a process of it, at the memory limit of"
        f" {format_bytes(profile.limits.memory)} of profile '{profile.name}'; {way_out}."
    )


def ended(state: WorkerState, frozen: Frozen | None) -> str:
    """Why a run failed whose worker is gone although the run had not ended."""
    if state.out_of_memory:
        return out_of_memory(frozen)
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
