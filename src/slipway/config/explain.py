"""pydantic's errors as findings: which key, what is wrong in the file's terms, the nearest valid spelling."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from slipway.config import shapes
from slipway.config.errors import Path, Problem, dotted
from slipway.config.findings import Finding, nearest
from slipway.config.kubernetes import Kubernetes
from slipway.config.model import Platform

QUOTE_IT = "quote it"
NO_SECRETS = "a secret never stands in platform.yaml itself"
REFERENCE_HINT = "write {env: NAME}, {file: PATH} or {secret: {name: NAME, key: KEY}}"


def findings(error: ValidationError, data: Any) -> Iterator[Finding]:
    """One finding per error of the model."""
    for detail in error.errors():
        yield _finding(detail, data)


def without_value(node: Any, path: Path = ()) -> Iterator[Finding]:
    """Keys that are there without a value. Helm drops them, and the model would take them for keys that are not there."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(key, str):
                yield from without_value(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from without_value(value, (*path, index))
    elif node is None and path and _expects_a_value(path):
        yield _without_value(path)


def _expects_a_value(path: Path) -> bool:
    """Not so of an unknown key, which is another finding, and of a default of the chart's that null takes away."""
    if shapes.passed_through(path):
        return True
    optional = type(None) in shapes.members(shapes.at(path))
    return shapes.at(path) is not None and not (optional and path in _chart_defaults())


@cache
def _chart_defaults() -> frozenset[Path]:
    def paths(node: Any, path: Path) -> Iterator[Path]:
        yield path
        if isinstance(node, dict):
            for key, value in node.items():
                yield from paths(value, (*path, key))

    return frozenset(paths(Kubernetes().model_dump(by_alias=True, exclude_none=True), ("kubernetes",)))


def _without_value(path: Path) -> Finding:
    if shapes.passed_through(path):
        return Finding(path, "has no value", "give one, such as {} for an empty mapping, or remove the key")
    return Finding(path, "has no value", f"give {shapes.describe(shapes.at(path))}, or remove the key")


def spelled_hint(finding: Finding, spelled: str | None) -> str | None:
    """The hint, naming a scalar as the file spells it: 1.10 and not 1.1."""
    if finding.hint is None or finding.hint != QUOTE_IT:
        return finding.hint
    return QUOTE_IT if spelled is None else f'{QUOTE_IT}: "{spelled}"'


def unambiguous(path: Path, problem: Problem) -> Problem:
    """A problem of an unquoted scalar or key with the hint that fits the type which belongs there."""
    members = shapes.members(shapes.at(path))
    if shapes.is_reference(shapes.at(path)) and str not in members:
        return replace(problem, message=NO_SECRETS, hint=REFERENCE_HINT)
    if bool in members:
        return replace(problem, hint="write true or false")
    if int in members:
        return replace(problem, hint="write a plain decimal number")
    return problem


def _finding(detail: ErrorDetails, data: Any) -> Finding:
    path, is_key = _path(detail["loc"], data)
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        return Finding(
            path[:-1], f"'{path[-1]}' is missing", f"add {path[-1]}: {shapes.describe(shapes.at(path))}"
        )
    if is_key:
        return _bad_name(path, str(path[-1]))
    if kind in ("union_tag_not_found", "union_tag_invalid") or (
        kind in ("model_type", "model_attributes_type") and shapes.is_reference(shapes.at(path))
    ):
        return _bad_reference(path, value)
    if value is None:
        return _without_value(path)
    if kind == "value_error":
        return Finding(path, str(context["error"]))
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        return Finding(path, f"{value!r} is not one of {', '.join(allowed)}", nearest(str(value), allowed))
    if kind == "string_pattern_mismatch":
        return _bad_pattern(path, str(value))
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return Finding(path, f"{_named(value)}, and it must be text", QUOTE_IT)
    if kind == "string_unicode":
        return Finding(
            path, "holds half of a character (an escape \\uD800 to \\uDFFF)", "write the character out"
        )
    if kind in ("int_type", "bool_type") and isinstance(value, str):
        return _quoted(path, kind, value)
    if kind in ("greater_than_equal", "less_than_equal", "string_too_short"):
        return Finding(path, _range(path, kind, value, context))
    return Finding(
        path, f"{_named(value)}, and it must be {shapes.describe(shapes.at(path))}", _as_items(path, value)
    )


def _as_items(path: Path, value: Any) -> str | None:
    """How Kubernetes writes what other tools write shorter: a name alone, or variables as a mapping."""
    if isinstance(value, str) and list(shapes.known_keys(shapes.at(path))) == ["name"]:
        return f"write {{name: {value}}}"
    if isinstance(value, dict) and path[-1:] == ("env",) and value:
        return f"write a list: [{{name: {next(iter(value))}, value: …}}]"
    return None


def _path(loc: tuple[int | str, ...], data: Any) -> tuple[Path, bool]:
    """pydantic's location without its own marks, and whether it means the key itself."""
    path: list[int | str] = []
    is_key = False
    node = data
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if part == "[key]" and last:
            is_key = True
        elif _holds(node, part):
            path.append(part)
            node = node[part]
        elif last and part in shapes.known_keys(shapes.at(tuple(path))):
            path.append(part)
    return tuple(path), is_key


def _holds(node: Any, part: int | str) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, dict) and part in node


_ELSEWHERE: dict[Path, tuple[str, str]] = {
    ("concurrency", "runs"): ("Dagster's own form", "write max_concurrent_runs and tags here"),
    ("concurrency", "tag_concurrency_limits"): ("Dagster's own form", "write tags: {KEY: {limit: 2}}"),
    ("kubernetes", "daemon", "replicas"): ("Dagster has one daemon", "remove it"),
    ("kubernetes", "bootstrap", "replicas"): ("it is one Job", "remove it"),
    ("kubernetes", "postgres", "replicas"): (
        "the Postgres of a trial is one pod",
        "for more, give postgres.host of your own",
    ),
    ("kubernetes", "localstack", "replicas"): (
        "the S3 of a trial is one pod",
        "for more, give a storage of your own",
    ),
    ("kubernetes", "runs", "resources"): (
        "a run's resources are those of its resource profile",
        "give them in infrastructure.resource_profiles",
    ),
    ("kubernetes", "image", "pullPolicy"): (
        "one setting for every image",
        "it belongs at kubernetes.imagePullPolicy",
    ),
    ("kubernetes", "image", "registry"): (
        "one setting for every image",
        "it belongs at kubernetes.imageRegistry",
    ),
}
"""Keys that people know from other charts, or try, and why they are not here."""


def _unknown_key(path: Path) -> Finding:
    key = str(path[-1])
    if path in _ELSEWHERE:
        return Finding(path, *_ELSEWHERE[path])
    if path[:2] == ("kubernetes", "codeLocations") and path[3:] == ("runs", "resources"):
        return Finding(path, *_ELSEWHERE["kubernetes", "runs", "resources"])
    known = shapes.known_keys(shapes.at(path[:-1]))
    folded = {_folded(one): one for one in known}
    close = difflib.get_close_matches(_folded(key), folded, n=1, cutoff=0.6)
    if close:
        return Finding(path, "unknown key", f"did you mean '{folded[close[0]]}'?")
    elsewhere = [dotted(place) for place in _sorted_places(path)]
    if elsewhere:
        return Finding(path, "unknown key here", f"it belongs at {' or '.join(elsewhere[:2])}")
    return Finding(path, "unknown key", f"known here: {', '.join(known)}")


def _folded(key: str) -> str:
    """A key as people remember it: node_selector, node-selector and nodeSelector are one."""
    return key.lower().replace("-", "").replace("_", "")


def _sorted_places(path: Path) -> list[Path]:
    """Where a key would be known: in the same half of the file, the chart's or every runtime's, if it is there."""
    places = list(_places(Platform, (), _folded(str(path[-1]))))
    near = [place for place in places if (place[0] == "kubernetes") == (path[0] == "kubernetes")]
    return near or places


def _places(annotation: Any, path: Path, key: str) -> Iterator[Path]:
    for model in shapes.models(annotation):
        for name, field in model.model_fields.items():
            here = (*path, field.alias or name)
            if _folded(str(here[-1])) == key:
                yield here
            inner = shapes.map_value(field.annotation)
            yield from (
                _places(inner, (*here, "<name>"), key)
                if inner is not None
                else _places(field.annotation, here, key)
            )


def _bad_name(path: Path, key: str) -> Finding:
    if path[-2:-1] == ("pools",):
        return Finding(path, "no pool name: empty, or with white space", None)
    if path[-2:-1] == ("tags",):
        return Finding(path, "no key of a tag: empty, or white space around it", None)
    if len(path) >= 2 and path[-2] == "env":
        suggestion = re.sub(r"\W", "_", key)
        rule = "no name of an environment variable"
        if not suggestion or suggestion[0].isdigit():
            suggestion = f"_{suggestion}"
    else:
        suggestion = re.sub(r"[^a-z0-9_]", "_", key.lower()).lstrip("_0123456789")[:40].rstrip("_")
        rule = "no name: lower-case letters, digits and _, a letter first, no _ last, at most 40"
    return Finding(path, rule, f"did you mean '{suggestion}'?" if suggestion else None)


def _bad_reference(path: Path, value: Any) -> Finding:
    if isinstance(value, dict):
        keys = [key for key in value if isinstance(key, str)]
        known = ("env", "file", "secret")
        if len([key for key in keys if key in known]) > 1:
            return Finding(path, "more than one of env, file and secret", "keep one")
        close = [match for key in keys for match in difflib.get_close_matches(key, known, n=1, cutoff=0.5)]
        if close:
            return Finding(path, f"unknown key {keys[0]!r}", f"did you mean '{close[0]}'?")
        return Finding(path, "no reference", REFERENCE_HINT)
    if str in shapes.members(shapes.at(path)):
        return Finding(path, f"{_named(value)}, and it must be text or a reference", QUOTE_IT)
    return Finding(path, NO_SECRETS, REFERENCE_HINT)


_OBJECT = "no name of a Kubernetes object: lower-case letters, digits, dots and hyphens"
_PATTERNS = {
    "bucket": "no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens",
    "prefix": "no folder: empty, or names with a slash after each",
    "endpoint": "no URL: http:// or https://, host and port, without credentials",
    "public_endpoint": "no URL: http:// or https://, host and port, without credentials",
    "host": "no host name or address",
    "path": "no path: it begins with a slash",
    "imageRegistry": "no registry: host, port and folders, without https:// and without a slash at the end",
    "environmentSecret": _OBJECT,
    "name": _OBJECT,
    "secretName": _OBJECT,
    "priorityClassName": _OBJECT,
    "key": "no key of a Kubernetes Secret: letters, digits, dots, _ and -",
    "repository": "no image repository: lower case, without the tag",
    "tag": "no image tag",
    "python": "not a supported Python: 3.11, 3.12 or 3.13",
    "env": "no name of an environment variable",
    "duckdb_file": "no name of a DuckDB file: no folder, letters, digits, _ and -, a letter first, .duckdb or .db last",
    "object key": "no key of an object: letters, digits, dots, _, -, = and slashes, none first, and {id}",
    "table": "no table: it is schema.table",
}
_OTHER_PATTERNS: dict[Path, str] = {("kubernetes", "test", "key"): "object key"}
"""Keys of a name that has another pattern elsewhere."""


def _bad_pattern(path: Path, value: str) -> Finding:
    key = "env" if path[-3:-2] == ("env",) else _OTHER_PATTERNS.get(path, str(path[-1]))
    suggestion = {
        "env": re.sub(r"\W", "_", value),
        "bucket": re.sub(r"[^a-z0-9.-]", "-", value.lower()).strip("-."),
        "prefix": f"{value.strip('/')}/",
        "endpoint": f"http://{value}",
        "public_endpoint": f"http://{value}",
        "host": re.split(r"[/:]", value.lower().split("://")[-1])[0],
        "imageRegistry": value.lower().split("://")[-1].strip("/"),
        "path": f"/{value}",
        **dict.fromkeys(("environmentSecret", "name", "secretName", "priorityClassName"), _as_object(value)),
        "python": ".".join(value.split(".")[:2]),
        "repository": value.lower().rsplit(":", 1)[0],
        "duckdb_file": _as_duckdb_file(value),
    }.get(key)
    fits = suggestion and suggestion != value and _accepts(path, suggestion)
    shown = "" if "@" in value else f"{value!r} is "
    return Finding(path, f"{shown}{_PATTERNS[key]}", f"did you mean '{suggestion}'?" if fits else None)


def _as_object(value: str) -> str:
    return re.sub(r"[^a-z0-9.-]", "-", value.lower()).strip("-.")


def _as_duckdb_file(value: str) -> str:
    name = value.rsplit("/", 1)[-1]
    for ending in (".duckdb", ".db"):
        if name.lower().endswith(ending):
            return re.sub(r"[^A-Za-z0-9_-]", "_", name[: -len(ending)]) + ending
    return re.sub(r"[^A-Za-z0-9_-]", "_", name) + ".duckdb"


def _quoted(path: Path, kind: str, value: str) -> Finding:
    unquoted = value.strip().lower() if kind == "bool_type" else value.strip()
    fits = unquoted in ("true", "false") if kind == "bool_type" else re.fullmatch(r"-?[0-9]+", unquoted)
    words = {"yes": "true", "on": "true", "no": "false", "off": "false"}
    if kind == "bool_type" and unquoted in words:
        fits, unquoted = True, words[unquoted]
    hint = f"write {unquoted} without quotes" if fits else None
    return Finding(path, f"{_named(value)}, and it must be {shapes.describe(shapes.at(path))}", hint)


def _range(path: Path, kind: str, value: Any, context: dict[str, Any]) -> str:
    if kind == "string_too_short":
        return "is empty"
    if kind == "greater_than_equal":
        return f"{value} is too small, the least is {context['ge']}"
    return f"{value} is too large, the most is {context['le']}"


def _named(value: Any) -> str:
    match value:
        case bool():
            return f"is {str(value).lower()}"
        case int() | float():
            return f"is the number {value}"
        case str():
            return "is text"
        case list():
            return "is a list"
        case dict():
            return "is a mapping"
        case None:
            return "has no value"
        case _:
            return f"is a {type(value).__name__}"


def _accepts(path: Path, value: str) -> bool:
    parent = shapes.at(path[:-1])
    for model in shapes.models(parent):
        for name, field in model.model_fields.items():
            if (field.alias or name) == path[-1]:
                try:
                    model.__pydantic_validator__.validate_assignment(model.model_construct(), name, value)
                except ValidationError as error:
                    return not any(detail["loc"][:1] == (name,) for detail in error.errors())
                return True
    return False
