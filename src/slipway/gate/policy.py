"""What the gate lets through: pure functions from a request to a decision.

A request is allowed by naming it here, never by not being forbidden: an unknown path, query parameter or key of a
body is refused. `decide` looks at a request alone; `own` at the labels of the container that it is about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from slipway.config import duckdb_file
from slipway.gate import strictjson

PROJECT_LABEL = "slipway.project"
KIND_LABEL = "slipway.kind"
LOCATION_LABEL = "slipway.location"
RUN_LABEL = "dagster/run_id"
JOB_LABEL = "dagster/job_name"
KIND = "run"
SCRATCH = "/tmp"  # noqa: S108 - the folder inside the run's container
USER = "10001:10001"
WORKER_MODULE = "slipway.worker"

INFO_KEYS = (
    "Architecture",
    "CgroupVersion",
    "CPUCfsPeriod",
    "CPUCfsQuota",
    "MemoryLimit",
    "MemTotal",
    "NCPU",
    "OSType",
    "PidsLimit",
    "ServerVersion",
    "SwapLimit",
)
"""What of the engine's `/info` the launcher may know: the host's size and the limits that its kernel holds."""


class Refused(Exception):
    """The gate does not pass the request on; the message is the reason."""


@dataclass(frozen=True)
class Boundary:
    """What belongs to this platform."""

    project: str
    network: str
    images: Mapping[str, str]
    """Image by code location."""
    duckdb_files: frozenset[str] = frozenset()
    """Code locations whose runs have a DuckDB file, on a volume of the location's own."""

    def mounts(self, location: str) -> list[dict[str, str]] | None:
        """The mounts of a location's runs, as the create body has them; None for a body that may not name any.

        No key for options: the engine makes a volume that is missing, and only as a plain folder of its own.
        """
        if location not in self.duckdb_files:
            return None
        source = duckdb_file.volume(self.project, location)
        return [{"Type": "volume", "Source": source, "Target": duckdb_file.CONTAINER_FOLDER}]


@dataclass(frozen=True)
class Passed:
    """A request as it goes to the engine: rebuilt from what was understood, not copied."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    container: str | None = None
    """Name or id of the container that must be one of ours; `{container}` in the path."""
    answer_keys: tuple[str, ...] | None = None
    """Keys of the engine's answer that are passed back; None: all."""


def decide(boundary: Boundary, method: str, target: str, body: bytes) -> Passed:
    """Turn a request line and body into the request for the engine.

    Args:
        boundary: what belongs to this platform.
        method: the HTTP method.
        target: path and query exactly as they came.
        body: the whole body.

    Raises:
        Refused: with the reason.
    """
    path, _, raw_query = target.partition("?")
    for route in _ROUTES:
        match = route.path.fullmatch(path)
        if match and method in route.methods:
            query = _query(raw_query, route.query)
            if route.create:
                name = query.get("name")
                return Passed(method, path, query, create_body(boundary, body, name))
            if body:
                raise Refused("a body is only allowed when a container is created")
            if route.list:
                query["filters"] = list_filters(boundary, query.get("filters"))
            container = match.groupdict().get("container")
            if container is not None:
                start, end = match.span("container")
                path = path[:start] + "{container}" + path[end:]
            return Passed(method, path, query, None, container, route.answer_keys)
    raise Refused("the gate does not know this request")


def own(boundary: Boundary, labels: object) -> None:
    """Check that the labels of a container are those of a run of this platform.

    Raises:
        Refused: when they are not.
    """
    mine = isinstance(labels, dict) and (labels.get(PROJECT_LABEL), labels.get(KIND_LABEL)) == (
        boundary.project,
        KIND,
    )
    if not mine:
        raise Refused(f"the container is not a run of project {boundary.project}")


def list_filters(boundary: Boundary, given: str | None) -> str:
    """The filters of a container list, narrowed to this platform's runs.

    Raises:
        Refused: for filters other than lists of label, status, name or id.
    """
    filters: dict[str, list[str]] = {}
    if given is not None:
        parsed = _json(given.encode("utf-8", "surrogatepass"), "filters")
        for key, values in _mapping(parsed, "filters").items():
            if key not in ("label", "status", "name", "id"):
                raise Refused(f"filter {key!r} is not allowed")
            filters[key] = [_text(value, f"filters.{key}") for value in _list(values, f"filters.{key}")]
    labels = [label for label in filters.get("label", []) if label]
    filters["label"] = [*labels, f"{PROJECT_LABEL}={boundary.project}", f"{KIND_LABEL}={KIND}"]
    return json.dumps(filters)


def create_body(boundary: Boundary, body: bytes, name: str | None) -> dict[str, Any]:
    """The body of a container's creation: a run worker, hardened and limited, of one of our images.

    Raises:
        Refused: for an unknown key, a missing one, or a value that is not the one that a run has.
    """
    given = _mapping(_json(body, "body"), "body")
    _keys(given, required={"Image", "Cmd", "Env", "Labels", "User", "Volumes", "HostConfig"}, where="body")
    labels = _mapping(given["Labels"], "Labels")
    _keys(labels, {PROJECT_LABEL, KIND_LABEL, LOCATION_LABEL, RUN_LABEL, JOB_LABEL}, "Labels")
    for key, value in labels.items():
        _text(value, f"Labels.{key}")
    own(boundary, labels)
    run_id = labels[RUN_LABEL]
    if not re.fullmatch(r"[0-9a-f-]{36}", run_id):
        raise Refused(f"Labels.{RUN_LABEL} is not a run id: {run_id!r}")
    if name != f"slipway-run-{run_id}":
        raise Refused(f"the name must be slipway-run-{run_id}")
    location = labels[LOCATION_LABEL]
    if location not in boundary.images:
        raise Refused(f"platform.yaml has no code location {location!r}")
    _is(given["Image"], boundary.images[location], "Image")
    _is(given["User"], USER, "User")
    _is(given["Volumes"], {SCRATCH: {}}, "Volumes")
    _command(given["Cmd"])
    _environment(given["Env"])
    _host_config(boundary, location, given["HostConfig"])
    return given


def _host_config(boundary: Boundary, location: str, value: Any) -> None:
    given = _mapping(value, "HostConfig")
    amounts = {"Memory", "MemorySwap", "MemoryReservation", "CpuPeriod", "CpuQuota", "PidsLimit"}
    fixed: dict[str, Any] = {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "NetworkMode": boundary.network,
    }
    mounts = boundary.mounts(location)
    if mounts is not None:
        fixed["Mounts"] = mounts
    _keys(given, amounts | fixed.keys(), "HostConfig")
    for key, expected in fixed.items():
        _is(given[key], expected, f"HostConfig.{key}")
    for key in amounts:
        amount = given[key]
        if type(amount) is not int or not 0 < amount < 2**63:
            raise Refused(f"HostConfig.{key} must be a number above 0, not {amount!r}")
    if given["MemorySwap"] != given["Memory"]:
        raise Refused("HostConfig.MemorySwap must equal HostConfig.Memory")


def _command(value: Any) -> None:
    command = [_text(part, "Cmd") for part in _list(value, "Cmd")]
    interpreter = r"(?:/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)*/python[0-9.]*"
    if (
        len(command) != 4
        or command[1:3] != ["-m", WORKER_MODULE]
        or not re.fullmatch(interpreter, command[0])
    ):
        raise Refused(f"Cmd must be an interpreter, -m, {WORKER_MODULE} and the run's arguments")


def _environment(value: Any) -> None:
    for entry in _list(value, "Env"):
        if not re.match(r"[A-Za-z_][A-Za-z0-9_.]*=", _text(entry, "Env")) or "\0" in entry:
            raise Refused("Env must be a list of NAME=value")


def _query(raw: str, allowed: Mapping[str, str]) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, strict_parsing=True, errors="strict") if raw else []
    except ValueError as error:
        raise Refused(f"the query cannot be read: {error}") from error
    query: dict[str, str] = {}
    for key, value in pairs:
        if key not in allowed or key in query:
            raise Refused(f"query parameter {key!r} is not allowed" + (" twice" if key in query else ""))
        if not re.fullmatch(allowed[key], value, re.DOTALL):
            raise Refused(f"query parameter {key} may not be {value!r}")
        query[key] = value
    return query


def _json(text: bytes, where: str) -> Any:
    try:
        return strictjson.loads(text)
    except strictjson.AmbiguousJson as error:
        raise Refused(f"{where}: {error}") from error


def _keys(given: Mapping[str, Any], required: set[str], where: str) -> None:
    for key in given:
        if key not in required:
            raise Refused(f"{where}: key {key!r} is not allowed")
    missing = sorted(required - given.keys())
    if missing:
        raise Refused(f"{where}: {', '.join(missing)} missing")


def _is(value: Any, expected: Any, where: str) -> None:
    if type(value) is not type(expected) or value != expected:
        raise Refused(f"{where} must be {json.dumps(expected)}, not {json.dumps(value)[:200]}")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(f"{where} must be an object")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(f"{where} must be a list")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise Refused(f"{where} must be text")
    return value


@dataclass(frozen=True)
class _Route:
    methods: tuple[str, ...]
    path: re.Pattern[str]
    query: Mapping[str, str] = field(default_factory=dict)
    create: bool = False
    list: bool = False
    answer_keys: tuple[str, ...] | None = None


def _path(template: str) -> re.Pattern[str]:
    # Older versions of the API took parts of the host configuration in other requests.
    version = r"(?:/v1\.(?:4[1-9]|[5-9][0-9]))?"
    return re.compile(
        version + template.replace("<container>", r"(?P<container>[A-Za-z0-9][A-Za-z0-9_.-]{0,127})")
    )


_FLAG = r"0|1|true|false|True|False"
_NUMBER = r"-?[0-9]{1,10}"
_TAIL = r"all|[0-9]{1,9}"
_verb: Callable[[str], re.Pattern[str]] = lambda verb: _path(f"/containers/<container>/{verb}")  # noqa: E731

_ROUTES = (
    _Route(("GET", "HEAD"), _path("/_ping")),
    _Route(("GET",), _path("/version")),
    _Route(("GET",), _path("/info"), answer_keys=INFO_KEYS),
    _Route(
        ("GET",),
        _path("/containers/json"),
        {"all": _FLAG, "limit": _NUMBER, "size": "0|false|False", "trunc_cmd": _FLAG, "filters": ".*"},
        list=True,
    ),
    _Route(("POST",), _path("/containers/create"), {"name": r"slipway-run-[0-9a-f-]{36}"}, create=True),
    _Route(("GET",), _verb("json")),
    _Route(("POST",), _verb("start")),
    _Route(("POST",), _verb("stop"), {"t": r"[0-9]{1,4}"}),
    _Route(("POST",), _verb("wait"), {"condition": "not-running|next-exit|removed"}),
    _Route(
        ("GET",),
        _verb("logs"),
        {"stdout": _FLAG, "stderr": _FLAG, "timestamps": _FLAG, "follow": _FLAG, "tail": _TAIL},
    ),
    _Route(
        ("DELETE",),
        _path("/containers/<container>"),
        {"v": _FLAG, "force": _FLAG, "link": "0|false|False"},
    ),
)
