"""Which profiles a run's job and assets ask for, from the workspace that the run was launched in."""

from __future__ import annotations

from dataclasses import dataclass

from dagster._core.launcher import LaunchRunContext
from dagster._core.remote_representation.external import RemoteRepository

from slipway.launch.frozen import PROFILE_TAG


@dataclass(frozen=True)
class Wishes:
    """Profile names asked for below the run itself."""

    job: str | None = None
    assets: tuple[str, ...] = ()


def wishes(context: LaunchRunContext) -> Wishes:
    """The profile tags of the run's job and of the assets it will materialise.

    A job of assets without a selection means all of its assets. Without a workspace (a run launched by
    hand) nothing below the run is known.
    """
    run = context.dagster_run
    origin = run.remote_job_origin
    if context.workspace is None or origin is None:
        return Wishes()
    location = context.workspace.get_code_location(location_of(context))
    repository = location.get_repository(origin.repository_origin.repository_name)
    job = (
        repository.get_full_job(run.job_name).tags.get(PROFILE_TAG)
        if repository.has_job(run.job_name)
        else None
    )
    return Wishes(job, _asset_profiles(repository, context))


def location_of(context: LaunchRunContext) -> str:
    """Name of the code location that the run belongs to.

    Raises:
        ValueError: the run belongs to none, so nothing could execute it in a worker.
    """
    origin = context.dagster_run.remote_job_origin
    if origin is None:
        raise ValueError(f"run {context.dagster_run.run_id} has no code location")
    return origin.repository_origin.code_location_origin.location_name


def _asset_profiles(repository: RemoteRepository, context: LaunchRunContext) -> tuple[str, ...]:
    run = context.dagster_run
    nodes = (
        node
        for node in repository.asset_graph.asset_nodes
        if (
            run.job_name in node.job_names
            if run.asset_selection is None and run.asset_check_selection is None
            else node.key in (run.asset_selection or ())
        )
    )
    return tuple(sorted({node.tags[PROFILE_TAG] for node in nodes if PROFILE_TAG in node.tags}))
