"""Object keys of logs."""

from __future__ import annotations

import pytest
from dagster._core.storage.compute_log_manager import ComputeIOType

from slipway.logs import keys

OUT, ERR = ComputeIOType.STDOUT, ComputeIOType.STDERR
KEY = ["run", "compute_logs", "abc"]


@pytest.mark.parametrize("prefix", ["a/b", "a/b/", "/a/b/"])
def test_a_prefix_may_end_with_a_slash_or_not(prefix: str) -> None:
    assert keys.final(prefix, KEY, OUT) == "a/b/run/compute_logs/abc.out"


def test_without_a_prefix_a_key_begins_with_the_log_key() -> None:
    assert keys.final("", KEY, ERR) == "run/compute_logs/abc.err"


def test_segments_are_beside_the_finished_log() -> None:
    assert keys.segment("p/", KEY, ERR, 0) == "p/run/compute_logs/abc.err.partial"
    assert keys.segment("p/", KEY, ERR, 2) == "p/run/compute_logs/abc.err.partial.2"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("abc.err", "abc"),
        ("abc.err.partial", "abc"),
        ("abc.err.partial.12", "abc"),
        ("a.b.err", "a.b"),
        ("1700000000.5.err", "1700000000.5"),
        ("abc.out", None),
        ("err", None),
        (".err", None),
        ("abc.err.partial.x", None),
    ],
)
def test_a_name_is_read_from_any_of_a_logs_objects(file: str, name: str | None) -> None:
    assert keys.name(file, ERR) == name


@pytest.mark.parametrize("part", ["", ".", "..", "a/b", "a\\b", "a\0b"])
def test_what_is_no_plain_name_is_no_log_key(part: str) -> None:
    with pytest.raises(ValueError, match="not a log key"):
        keys.final("p", ["run", part], OUT)
