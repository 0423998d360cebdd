"""The running platform as a command beside it sees it: its instance, and the definitions of its code servers."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.remote_origin import CodeLocationOrigin
from dagster._core.remote_representation.code_location import CodeLocation
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import GrpcServerTarget, WorkspaceLoadTarget

from slipway.config import current
from slipway.config.connections import POSTGRES_URL, postgres_url
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.launch import runtimes
from slipway.launch.adapter import EngineUnreachable, Host
from slipway.ops import workspace
from slipway.ops.bootstrap_postgres import wait_for_postgres

START = "start it with `slipway up`, and take its addresses into this shell: . .slipway/env"

UI_URL = "SLIPWAY_UI_URL"
"""Address of the UI for a browser on this machine, where the runtime tells it."""


@dataclass(frozen=True)
class RunningPlatform:
    """A platform that is up."""

    platform: Platform
    instance: DagsterInstance
    context: WorkspaceRequestContext
    """The workspace, as the webserver has it."""
    ui: str | None
    """Address of the UI, where it is known."""

    def page(self, path: str) -> str | None:
        """Address of a page of the UI."""
        return None if self.ui is None else f"{self.ui}/{path}"

    def location(self, name: str) -> CodeLocation:
        """A code location by its name.

        Raises:
            UserError: platform.yaml has none of that name, or it does not load.
        """
        check_location(self.platform, name)
        error = self.context.get_code_location_error(name)
        if error is not None:
            raise UserError(
                f"code location '{name}' does not load: {last_cause(error)}",
                f"its page has the whole error: {self.page('locations') or 'Deployment, in the UI'}",
            )
        return self.context.get_code_location(name)

    def repositories(self, location: str | None = None) -> list[RemoteRepository]:
        """The definitions of one location, or of all that load.

        Raises:
            UserError: the location is not there, or does not load.
        """
        found = [self.location(location)] if location is not None else self.context.code_locations
        return [repository for one in found for repository in one.get_repositories().values()]

    def broken(self) -> list[str]:
        """Names of the locations that do not load."""
        return [
            name
            for name in self.platform.code_locations
            if self.context.get_code_location_error(name) is not None
        ]


@contextmanager
def running(env: Mapping[str, str] = os.environ) -> Iterator[RunningPlatform]:
    """Connect to the platform that runs here.

    Raises:
        UserError: none runs, or its Postgres does not answer.
    """
    with instance(env) as (platform, found):
        target = _CodeServers(workspace.addresses(platform, env))
        with warnings.catch_warnings():
            # A location that does not load is told by whoever asks for it.
            warnings.filterwarnings("ignore", message="Error loading repository location")
            process = WorkspaceProcessContext(found, target, version="")
        with process:
            yield RunningPlatform(platform, found, process.create_request_context(), env.get(UI_URL) or None)


@contextmanager
def instance(env: Mapping[str, str] = os.environ) -> Iterator[tuple[Platform, DagsterInstance]]:
    """Dagster's instance of the platform that runs here, with its platform.yaml. No code server is asked.

    Raises:
        UserError: none runs, or its Postgres does not answer.
    """
    platform = current(env)
    if platform.postgres.is_bundled and not env.get(POSTGRES_URL):
        raise UserError(f"this shell knows of no running platform: {POSTGRES_URL} is not set", START)
    wait_for_postgres(platform, postgres_url(platform, env), 0)
    home = _home(env)
    if not (home / "dagster.yaml").exists():
        raise UserError(f"no platform runs here: {home} has no dagster.yaml", START)
    # The classes that dagster.yaml names look there for whether there is a platform.
    os.environ["DAGSTER_HOME"] = str(home)
    with DagsterInstance.from_config(str(home)) as found:
        yield platform, found


def host(env: Mapping[str, str] = os.environ) -> Host | None:
    """What the machine that runs are launched on has; None when its engine does not answer."""
    try:
        return runtimes.adapter({"SLIPWAY_RUNTIME": "process", **env}, on_exit=_nobody).host()
    except (EngineUnreachable, UserError):
        return None


def check_location(platform: Platform, name: str) -> None:
    """Raise UserError, with the nearest name, when platform.yaml has no such code location."""
    if name not in platform.code_locations:
        raise unknown("code location", name, platform.code_locations, "platform.yaml")


def unknown(what: str, name: str, known: Iterable[str], where: str) -> UserError:
    """The error for a name that is not there: the nearest one, or some that are."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        hint = f"did you mean '{close[0]}'?"
    elif names:
        hint = f"there is: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"
    else:
        hint = "there is none at all"
    return UserError(f"{where} has no {what} '{name}'", hint)


class _CodeServers(WorkspaceLoadTarget):
    """The code servers of the platform, as workspace.yaml names them."""

    def __init__(self, addresses: Mapping[str, workspace.Address]) -> None:
        self._addresses = addresses

    def create_origins(self) -> Sequence[CodeLocationOrigin]:
        """One for each."""
        return [
            origin
            for name, (address, port) in self._addresses.items()
            for origin in GrpcServerTarget(
                host=address, port=port, socket=None, location_name=name
            ).create_origins()
        ]


def _home(env: Mapping[str, str]) -> Path:
    if env.get("SLIPWAY_RUNTIME", "process") == "process":
        return (Path(env.get("SLIPWAY_STATE") or ".slipway") / "home").absolute()
    return Path(env.get("DAGSTER_HOME") or "/")


def last_cause(error: object) -> str:
    """The message of the innermost of an error's causes, as a code server tells it."""
    text = ""
    while error is not None:
        text = str(getattr(error, "message", "")).strip() or text
        error = getattr(error, "cause", None)
    return text


def _nobody(run_id: str) -> None:
    """A host is only looked at."""
