"""What is to be launched: a job, or assets of one code location."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from dagster import AssetKey, AssetSelection, BetaWarning, DagsterError
from dagster._core.definitions.assets.graph.remote_asset_graph import RemoteRepositoryAssetNode
from dagster._core.definitions.selector import RepositorySelector
from dagster._core.remote_representation.external import RemoteJob, RemotePartitionSet, RemoteRepository

from slipway.config.errors import UserError
from slipway.ops.running import RunningPlatform, unknown

SYNTAX = (
    "keys with commas between them, or Dagster's selection syntax, such as 'group:marts' or '+fct_orders'"
)

_KEY = re.compile(r"[\w.\-]+(/[\w.\-]+)*")


@dataclass(frozen=True)
class Target:
    """A job of one code location, whole or some of its assets."""

    repository: RemoteRepository
    job: str
    keys: frozenset[AssetKey] | None
    """None: the whole job, which for a job of assets means all of its assets."""

    @property
    def location(self) -> str:
        """Name of the code location."""
        return self.repository.handle.location_name

    @property
    def selector(self) -> RepositorySelector:
        """As Dagster's workspace finds the repository."""
        return RepositorySelector(location_name=self.location, repository_name=self.repository.name)

    @property
    def remote_job(self) -> RemoteJob:
        """The job as its code server tells it."""
        return self.repository.get_full_job(self.job)

    @property
    def is_named_job(self) -> bool:
        """Whether somebody wrote the job, rather than Dagster for whatever assets are selected."""
        return not self.job.startswith("__")

    @property
    def nodes(self) -> list[RemoteRepositoryAssetNode]:
        """The assets that will be materialised, by key; none for a job of ops."""
        nodes = self.repository.asset_graph.asset_nodes
        found = [
            node
            for node in nodes
            if (self.job in node.job_names if self.keys is None else node.key in self.keys)
        ]
        return sorted(found, key=lambda node: node.key)

    @property
    def partition_set(self) -> RemotePartitionSet | None:
        """The partitions of the job itself, where it has some."""
        found = (one for one in self.repository.get_partition_sets() if one.job_name == self.job)
        return next(found, None)

    def __str__(self) -> str:
        """For people."""
        if self.keys is None:
            return f"job {self.job} of {self.location}"
        names = ", ".join(sorted(key.to_user_string() for key in self.keys))
        part = f"job {self.job}: " if self.is_named_job else ""
        return f"{part}{names} of {self.location}"


def find(running: RunningPlatform, assets: Sequence[str], job: str | None, location: str | None) -> Target:
    """The job, the assets, or these assets of this job.

    Args:
        running: the platform.
        assets: each is a key, keys with commas between them, or a selection in Dagster's syntax.
        job: name of a job; with assets, only those of it.
        location: the code location to look in; None for all.

    Raises:
        UserError: there is no such job or asset, nothing is selected, or not one location has it all.
    """
    if job is not None:
        repository = _repository_of_job(running, job, location)
        whole = Target(repository, job, None)
        return whole if not assets else _part(whole, _resolve(running, assets, whole.location))
    keys = _resolve(running, assets, location)
    owners = {
        repository.handle.location_name: repository
        for repository in running.repositories(location)
        for node in repository.asset_graph.asset_nodes
        if node.key in keys and node.is_materializable
    }
    if len(owners) > 1:
        raise UserError(
            f"these assets are of several code locations: {', '.join(sorted(owners))}",
            "a run is of one: launch one after the other, each with --location",
        )
    (repository,) = owners.values()
    name = repository.asset_graph.get_implicit_job_name_for_assets(keys, repository)
    target = Target(repository, str(name), keys)
    _check_together(target)
    return target


def _repository_of_job(running: RunningPlatform, job: str, location: str | None) -> RemoteRepository:
    repositories = running.repositories(location)
    found = [repository for repository in repositories if repository.has_job(job)]
    if not found:
        names = {one.name for repository in repositories for one in repository.get_all_jobs()}
        named = {name for name in names if not name.startswith("__")}
        raise _with_broken(running, location, unknown("job", job, named, _where(location)))
    if len(found) > 1:
        locations = sorted(repository.handle.location_name for repository in found)
        raise UserError(
            f"job '{job}' is in several code locations: {', '.join(locations)}", "name one: --location"
        )
    return found[0]


def _part(whole: Target, keys: frozenset[AssetKey]) -> Target:
    inside = {node.key for node in whole.nodes}
    if not inside:
        raise UserError(f"job '{whole.job}' is no job of assets", "launch it without --assets")
    if outside := sorted(key.to_user_string() for key in keys - inside):
        known = ", ".join(sorted(key.to_user_string() for key in inside))
        raise UserError(f"job '{whole.job}' does not have {', '.join(outside)}", f"it has: {known}")
    target = Target(whole.repository, whole.job, keys)
    _check_together(target)
    return target


def _check_together(target: Target) -> None:
    """Some assets are made together by one step; half of them cannot be launched."""
    for node in target.nodes:
        missing = node.execution_set_asset_keys - (target.keys or set())
        if missing:
            names = ", ".join(sorted(key.to_user_string() for key in missing))
            raise UserError(
                f"asset '{node.key.to_user_string()}' is made in one step with {names}",
                "select all of them, or let the step be split: can_subset=True",
            )


def _resolve(running: RunningPlatform, texts: Sequence[str], location: str | None) -> frozenset[AssetKey]:
    repositories = running.repositories(location)
    nodes = [node for repository in repositories for node in repository.asset_graph.asset_nodes]
    ours = {node.key for node in nodes if node.is_materializable}
    foreign = {node.key for node in nodes} - ours
    selected: set[AssetKey] = set()
    for text in texts:
        for part in [text] if re.search(r"[(\"]", text) else text.split(","):
            key = AssetKey.from_user_string(part.strip())
            if key in ours:
                selected.add(key)
            elif key in foreign:
                raise UserError(
                    f"asset '{part.strip()}' is external: no run materialises it",
                    "select what is made of it, or land or write it where it comes from",
                )
            elif _KEY.fullmatch(part.strip()):
                names = {one.to_user_string() for one in ours}
                raise _with_broken(running, location, unknown("asset", part.strip(), names, _where(location)))
            else:
                selected |= _select(running, part.strip(), repositories, location) & ours
    if not selected:
        raise UserError(f"--assets {' '.join(texts)} selects nothing that a run could materialise", SYNTAX)
    return frozenset(selected)


def _select(
    running: RunningPlatform, text: str, repositories: Sequence[RemoteRepository], location: str | None
) -> set[AssetKey]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BetaWarning)
            selection = AssetSelection.from_string(text)
        if location is None:
            return set(selection.resolve(running.context.asset_graph))
        return {key for one in repositories for key in selection.resolve(one.asset_graph)}
    except DagsterError as error:
        raise UserError(f"--assets '{text}': {str(error).strip().splitlines()[0]}", SYNTAX) from error


def _where(location: str | None) -> str:
    return "the platform" if location is None else f"code location '{location}'"


def _with_broken(running: RunningPlatform, location: str | None, error: UserError) -> UserError:
    """The error, with a word on the locations whose definitions nobody knows."""
    broken = running.broken() if location is None else []
    if not broken:
        return error
    return UserError(error.message, f"{error.hint} ({', '.join(broken)} does not load, and may have it)")
