"""Which profile a run gets: what its job and assets ask for, from the workspace, and the rule that decides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dagster import AssetKey
from dagster._core.launcher import LaunchRunContext
from dagster._core.remote_representation.external import RemoteRepository

from slipway import profiles
from slipway.config.model import Platform
from slipway.launch.frozen import PROFILE_TAG
from slipway.profiles import ResolvedProfile, Wish


@dataclass(frozen=True)
class Wishes:
    """Profile names asked for below the run itself."""

    job: str | None = None
    assets: Mapping[AssetKey, str] = field(default_factory=dict)
    """Of each selected asset that asks for one."""


def wishes(context: LaunchRunContext) -> Wishes:
    """The profile tags of the run's job and of the assets it will materialise.

    Without a workspace (a run launched by hand) nothing below the run is known.
    """
    run = context.dagster_run
    origin = run.remote_job_origin
    if context.workspace is None or origin is None:
        return Wishes()
    location = context.workspace.get_code_location(location_of(context))
    repository = location.get_repository(origin.repository_origin.repository_name)
    whole = run.asset_selection is None and run.asset_check_selection is None
    return wishes_of(repository, run.job_name, None if whole else run.asset_selection or frozenset())


def wishes_of(repository: RemoteRepository, job: str, selected: Collection[AssetKey] | None) -> Wishes:
    """The profile tags of a job and of its selected assets. None, no selection, means all of the job's assets."""
    nodes = (
        node
        for node in repository.asset_graph.asset_nodes
        if (job in node.job_names if selected is None else node.key in selected)
    )
    return Wishes(
        _job_profile(repository, job),
        {node.key: node.tags[PROFILE_TAG] for node in nodes if PROFILE_TAG in node.tags},
    )


def rules(platform: Platform, location: str, own: str | None, wished: Wishes) -> list[Wish]:
    """What each rule asks for a run whose own tag names the profile `own`, the nearest rule first."""
    return profiles.wishes(platform, location, _of_the_run(own, wished), wished.job, wished.assets.values())


def choose(platform: Platform, location: str, own: str | None, wished: Wishes) -> ResolvedProfile:
    """The profile of a run whose own tag names the profile `own`.

    Raises:
        UserError: a profile that is asked for does not exist, or is too small for a run.
    """
    return profiles.resolve(platform, location, _of_the_run(own, wished), wished.job, wished.assets.values())


def _of_the_run(own: str | None, wished: Wishes) -> str | None:
    """A job's tags are on its runs too."""
    return None if own == wished.job else own


def location_of(context: LaunchRunContext) -> str:
    """Name of the code location that the run belongs to.

    Raises:
        ValueError: the run belongs to none, so nothing could execute it in a worker.
    """
    origin = context.dagster_run.remote_job_origin
    if origin is None:
        raise ValueError(f"run {context.dagster_run.run_id} has no code location")
    return origin.repository_origin.code_location_origin.location_name


def _job_profile(repository: RemoteRepository, name: str) -> str | None:
    if not repository.has_job(name):
        return None
    job = repository.get_full_job(name)
    # A job with `run_tags` gives those to its runs, and keeps `tags` to itself.
    return {**job.tags, **job.run_tags}.get(PROFILE_TAG)
