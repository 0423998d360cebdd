"""Where a log is in the bucket: pure functions between Dagster's log keys and object keys.

A finished log is one object, `<prefix>a/b/c.err`. While it is written, what there is lies in `a/b/c.err.partial`
and, beyond SEGMENT bytes, in further segments `a/b/c.err.partial.1` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dagster._core.storage.compute_log_manager import ComputeIOType

SEGMENT = 5 * 1024 * 1024
"""Bytes of a segment of an unfinished log. A full one is never sent again. It is as much of a log as is in memory at
once, and S3's smallest part of a multipart upload."""

EXTENSIONS = {ComputeIOType.STDOUT: "out", ComputeIOType.STDERR: "err"}

_PARTIAL = re.compile(r"\.partial(\.[0-9]+)?$")


def folder(prefix: str, log_key: Sequence[str]) -> str:
    """The key prefix of everything below a log key.

    Raises:
        ValueError: a part of the log key is no plain name; log keys come from requests too.
    """
    for part in log_key:
        if part in {"", ".", ".."} or "/" in part or "\\" in part or "\0" in part:
            raise ValueError(f"not a log key: {list(log_key)}")
    return "".join(f"{part}/" for part in (*prefix.split("/"), *log_key) if part)


def final(prefix: str, log_key: Sequence[str], io_type: ComputeIOType) -> str:
    """The object of a finished log."""
    return f"{folder(prefix, log_key)[:-1]}.{EXTENSIONS[io_type]}"


def segment(prefix: str, log_key: Sequence[str], io_type: ComputeIOType, number: int) -> str:
    """The object that holds bytes from number * SEGMENT on of an unfinished log."""
    suffix = f".{number}" if number else ""
    return f"{final(prefix, log_key, io_type)}.partial{suffix}"


def name(file: str, io_type: ComputeIOType) -> str | None:
    """The last part of the log key that an object's or file's name stands for, None when it is none of this kind."""
    stem, dot, extension = _PARTIAL.sub("", file).rpartition(".")
    return stem if dot and stem and extension == EXTENSIONS[io_type] else None
