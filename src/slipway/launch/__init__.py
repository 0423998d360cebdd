"""Starts each run in a worker of its own with the limits of its profile: one launcher, an adapter per runtime."""

from __future__ import annotations

from dagster import DagsterInstance


def sweep(instance: DagsterInstance) -> None:
    """Settle and clear up after runs whose workers ended; nothing to do under another launcher than ours."""
    from slipway.launch.launcher import SlipwayRunLauncher

    if isinstance(instance.run_launcher, SlipwayRunLauncher):
        instance.run_launcher.sweep()


def requeue(instance: DagsterInstance) -> list[str]:
    """Queue again what an earlier daemon was launching when it ended; call it before this one launches anything."""
    from slipway.launch.launcher import SlipwayRunLauncher

    launcher = instance.run_launcher
    return launcher.requeue() if isinstance(launcher, SlipwayRunLauncher) else []


def interrupt(instance: DagsterInstance) -> None:
    """This process ends: launches that wait for an engine that is away wait no longer, and are begun by the next."""
    from slipway.launch.launcher import SlipwayRunLauncher

    if isinstance(instance.run_launcher, SlipwayRunLauncher):
        instance.run_launcher.interrupt()
