"""What must answer: Postgres, S3, the code servers, the webserver, the daemon. Each check returns a line or raises."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from dagster._api.list_repositories import sync_list_repositories_grpc
from dagster._core.errors import DagsterUserCodeProcessError, DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

from slipway import identity
from slipway.config.connections import postgres_url
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.ops import health, workspace
from slipway.ops.bootstrap_postgres import wait_for_postgres
from slipway.ops.bootstrap_storage import exists, storage_client, wait_for_storage
from slipway.ops.running import UI_URL, last_cause
from slipway.ops.smoke import where
from slipway.ops.storages import any_is_bundled, uses

ANSWER_SECONDS = 20

DAEMONS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR", "SLIPWAY_LANDING", "SLIPWAY_SWEEP")

WORKSPACE = """{ workspaceOrError { __typename ... on PythonError { message } ... on Workspace { locationEntries {
  name loadStatus locationOrLoadError { __typename ... on PythonError { message causes { message } } } } } } }"""


class Failed(Exception):
    """Something does not work: what it is, and what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True)
class Check:
    """Something that must work."""

    name: str
    run: Callable[[], str]
    """Returns what was found, or raises Failed."""


def all_checks(platform: Platform, env: Mapping[str, str]) -> Iterator[Check]:
    """The checks of a platform, in an order in which the first that fails is likely the cause."""
    yield Check("Postgres", partial(_postgres, platform, env))
    yield Check("S3", partial(_storage, platform, env))
    for name in platform.code_locations:
        yield Check(f"code location {name}", partial(_code_server, platform, env, name))
    if webserver_url(platform, env) is not None:
        yield Check("webserver", partial(_webserver, platform, env))
    yield Check("daemon", partial(_daemon, env))


def webserver_url(platform: Platform, env: Mapping[str, str]) -> str | None:
    """Where the webserver is for this process; None for a platform without one."""
    if url := env.get(UI_URL):
        return url.rstrip("/")
    if env.get("SLIPWAY_RUNTIME") == "kubernetes":
        webserver, door = platform.kubernetes.webserver, platform.kubernetes.ingress.full
        if webserver.replicas == 0:
            return None
        path = door.path.rstrip("/") if door.enabled else ""
        return f"http://{env['SLIPWAY_PROJECT']}-webserver:{webserver.service.port}{path}"
    if env.get("SLIPWAY_RUNTIME") == "docker":
        return "http://webserver:3000"
    raise UserError(
        f"{UI_URL} does not say where the webserver is",
        "take the addresses of the platform into this shell: . .slipway/env",
    )


def _postgres(platform: Platform, env: Mapping[str, str]) -> str:
    try:
        wait_for_postgres(platform, postgres_url(platform, env), 0)
    except UserError as error:
        look = f"; {where.log_of('postgres', env)}" if platform.postgres.is_bundled else ""
        raise Failed(error.message, f"{error.hint}{look}") from error
    return "answers"


def _storage(platform: Platform, env: Mapping[str, str]) -> str:
    look = f"; {where.log_of('localstack', env)}" if any_is_bundled(platform) else ""
    try:
        wait_for_storage(platform, env, 0)
        missing = [
            f"{use.bucket} ({use.key})"
            for use in uses(platform)
            if not exists(storage_client(platform, use.storage_ref, env), use.bucket)
        ]
        if missing:
            raise Failed(
                f"there is no bucket {', '.join(missing)}",
                f"`slipway bootstrap` makes those of bundled storage: {where.log_of('daemon', env)}",
            )
        identity.check(platform, env)
    except UserError as error:
        raise Failed(error.message, f"{error.hint}{look}") from error
    return "answers, has its buckets, and is the storage that the catalogue describes"


def _code_server(platform: Platform, env: Mapping[str, str], name: str) -> str:
    host, port = workspace.addresses(platform, env)[name]
    look = where.log_of(workspace.server_name(name), env)
    try:
        found = sync_list_repositories_grpc(DagsterGrpcClient(host=host, port=port))
    except DagsterUserCodeUnreachableError as error:
        raise Failed(f"its code server at {host}:{port} does not answer: {error}", look) from error
    except DagsterUserCodeProcessError as error:
        reasons = [last_cause(info) for info in error.user_code_process_error_infos]
        raise Failed(f"does not load: {_line(*reasons)}", look) from error
    return f"its code server serves {found.container_image or 'its project'}"


def _webserver(platform: Platform, env: Mapping[str, str]) -> str:
    url = webserver_url(platform, env)
    look = where.log_of("webserver", env)
    request = urllib.request.Request(  # noqa: S310 - an address of the platform
        f"{url}/graphql", json.dumps({"query": WORKSPACE}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:  # noqa: S310 - the same
            found = json.load(response)["data"]["workspaceOrError"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failed(f"at {url} it does not answer: {error}", look) from error
    if found["__typename"] != "Workspace":
        raise Failed(f"has no workspace: {found.get('message')}", look)
    entries = {entry["name"]: entry for entry in found["locationEntries"]}
    for name in platform.code_locations:
        entry = entries.get(name)
        if entry is None:
            raise Failed(f"does not know the code location {name}", f"restart it; {look}")
        loaded = entry["locationOrLoadError"]
        if entry["loadStatus"] != "LOADED" or loaded is None:
            raise Failed(f"still loads the code location {name}", look)
        if loaded["__typename"] == "PythonError":
            reasons = [loaded["message"], *(cause["message"] for cause in loaded["causes"])]
            server = where.log_of(workspace.server_name(name), env)
            raise Failed(f"could not load the code location {name}: {_line(*reasons)}", server)
    return f"at {url} it shows {_names(platform)}"


def _daemon(env: Mapping[str, str]) -> str:
    import psycopg2

    try:
        health.judge(health.heartbeats(env), needed=DAEMONS)
    except (health.Unhealthy, psycopg2.Error) as error:
        raise Failed(_line(str(error)), where.log_of("daemon", env)) from error
    return "its heartbeats are fresh"


def _names(platform: Platform) -> str:
    return ", ".join(platform.code_locations) or "no code location, as there is none"


def _line(*reasons: str) -> str:
    """The first line of the last of the reasons, which is nearest to the cause."""
    lines = [reason.strip().splitlines()[0] for reason in reasons if reason.strip()]
    return lines[-1] if lines else "no reason given"
