"""Reads platform.yaml into the model; every mistake is found at once, with its line and the way out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slipway.config import checks, explain
from slipway.config.document import Document
from slipway.config.errors import PlatformFileError, Problem, UserError
from slipway.config.findings import Finding
from slipway.config.model import Platform

PLATFORM = "SLIPWAY_PLATFORM"
PLATFORM_JSON = "SLIPWAY_PLATFORM_JSON"
DEFAULT_FILE = "platform.yaml"


def current(env: Mapping[str, str] = os.environ) -> Platform:
    """The platform of this process: SLIPWAY_PLATFORM_JSON, else the file SLIPWAY_PLATFORM or ./platform.yaml.

    The file is read again when it has changed.

    Raises:
        UserError: there is no such file, or it has mistakes.
    """
    if inline := env.get(PLATFORM_JSON):
        return _inline(inline)
    path = Path(env.get(PLATFORM) or DEFAULT_FILE)
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _loaded(path.absolute(), (stat.st_mtime_ns, stat.st_size, stat.st_ino))


def load(path: Path) -> Platform:
    """Read a platform.yaml.

    Raises:
        UserError: the file cannot be read.
        PlatformFileError: it has mistakes.
    """
    return parse(_text(path), str(path))


def parse(text: str, source: str) -> Platform:
    """Read the text of a platform.yaml; `source` is its name in messages.

    Raises:
        PlatformFileError: it has mistakes.
    """
    document = Document(text, source)
    platform, findings = examine(document.data)
    problems = _problems(document, findings)
    if problems or platform is None:
        raise PlatformFileError(source, problems)
    return platform


def inspect(path: Path) -> Platform:
    """Read a platform.yaml where it was written: the folders that it names must be there too.

    Raises:
        UserError: the file cannot be read.
        PlatformFileError: it has mistakes.
    """
    document = Document(_text(path), str(path))
    platform, findings = examine(document.data)
    problems = _problems(document, [*findings, *checks.missing_folders(document.data, path.parent)])
    if problems or platform is None:
        raise PlatformFileError(str(path), problems)
    return platform


def parse_json(text: str, source: str) -> Platform:
    """Read platform.yaml as JSON, the form that launchers hand to runs.

    Raises:
        PlatformFileError: it has mistakes.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise PlatformFileError(source, [Problem(source, None, None, (), f"not JSON: {error}")]) from error
    platform, findings = examine(data)
    if platform is None or findings:
        problems = [Problem(source, None, None, one.path, one.message, one.hint) for one in findings]
        raise PlatformFileError(source, problems)
    return platform


def examine(data: Any) -> tuple[Platform | None, list[Finding]]:
    """Hold plain values against the model and against each other; no platform when the model refuses them."""
    platform: Platform | None = None
    findings: list[Finding] = []
    try:
        platform = Platform.model_validate(data)
    except ValidationError as error:
        findings.extend(explain.findings(error, data))
    known = {finding.path for finding in findings}
    findings.extend(finding for finding in explain.without_value(data) if finding.path not in known)
    findings.extend(checks.all_checks(data))
    return platform, findings


def _problems(document: Document, findings: list[Finding]) -> list[Problem]:
    """The mistakes of the text, and those of its values where the text itself was clear."""
    problems = [
        explain.unambiguous(problem.path, problem) if problem.ambiguous else problem
        for problem in document.problems
    ]
    reported = {problem.path for problem in problems}
    for finding in findings:
        if finding.path in reported:
            continue
        position = document.position(finding.path)
        line, column = (position.line, position.column) if position else (None, None)
        hint = explain.spelled_hint(finding, document.text(finding.path))
        problems.append(Problem(document.source, line, column, finding.path, finding.message, hint))
    return problems


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem(str(path), line, None, (), "not UTF-8 text", "save the file as UTF-8")
        raise PlatformFileError(str(path), [problem]) from error


@lru_cache(maxsize=8)
def _loaded(path: Path, _version: tuple[int, int, int]) -> Platform:
    return load(path)


@lru_cache(maxsize=8)
def _inline(text: str) -> Platform:
    return parse_json(text, PLATFORM_JSON)


def _unreadable(path: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(
            f"there is no file {path}", f"run this where platform.yaml is, or say where in {PLATFORM}"
        )
    reason = (
        "is a folder"
        if isinstance(error, IsADirectoryError)
        else f"cannot be read: {error.strerror or error}"
    )
    return UserError(f"{path} {reason}", "name the platform.yaml itself, readable by this user")
