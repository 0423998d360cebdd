"""What the smoke test lands, and where it sends people."""

from __future__ import annotations

import pytest

from slipway.config.errors import PlatformFileError
from slipway.config.kubernetes import SmokeTest
from slipway.config.loader import parse
from slipway.ops.smoke import where
from slipway.ops.smoke.landed import key_and_content


def smoke(key: str, content: str = "x") -> SmokeTest:
    return SmokeTest(landing="inbox", key=key, content=content, location="shop")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("tweets/helm-test-{id}.jsonl", "in/tweets/helm-test-7.jsonl"),
        ("{id}", "in/7"),
        ("tweets/test.jsonl.gz", "in/tweets/test-7.jsonl.gz"),
        ("plain", "in/plain-7"),
    ],
)
def test_every_test_has_a_key_of_its_own(key: str, expected: str) -> None:
    assert key_and_content(smoke(key, '{"id": {id}}'), "in/", "7") == (expected, '{"id": 7}')


POD = {"SLIPWAY_RUNTIME": "kubernetes", "SLIPWAY_PROJECT": "acme-slipway", "SLIPWAY_NAMESPACE": "data"}


@pytest.mark.parametrize(
    ("service", "env", "expected"),
    [
        ("daemon", POD, "kubectl -n data logs deployment/acme-slipway-daemon --all-containers"),
        ("localstack", POD, "kubectl -n data logs statefulset/acme-slipway-localstack --all-containers"),
        ("code-shop", {"SLIPWAY_RUNTIME": "docker"}, "docker compose logs code-shop"),
        ("daemon", {"SLIPWAY_STATE": "/state"}, "/state/logs/daemon.log"),
    ],
)
def test_a_person_is_told_which_log_to_read(service: str, env: dict[str, str], expected: str) -> None:
    assert where.log_of(service, env) == expected


def test_a_run_is_found_by_its_job() -> None:
    assert "kubectl -n data describe job/slipway-run-r1" in where.run("r1", POD)


PLATFORM = """
landing: {inbox: {bucket: the-inbox}}
code_locations:
  shop: {path: a, image: {repository: r, tag: t}}
  filed: {path: b, image: {repository: r, tag: t}, duckdb_file: filed.duckdb}
kubernetes: {test: {key: "a/{id}", content: x, %s}}
"""


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            "landing: inbx, location: shop",
            "kubernetes.test.landing: landing has no 'inbx'; did you mean 'inbox'?",
        ),
        (
            "landing: inbox, location: shoe",
            "kubernetes.test.location: code_locations has no 'shoe'; did you mean",
        ),
        (
            "landing: inbox, location: filed, table: a.b",
            "kubernetes.test.table: the tables of filed are in a DuckDB",
        ),
        ("landing: inbox, location: shop, table: orders", "kubernetes.test.table: 'orders' is no table"),
    ],
)
def test_a_test_of_what_there_is_not_is_refused(test: str, message: str) -> None:
    with pytest.raises(PlatformFileError) as caught:
        parse(PLATFORM % test, "platform.yaml")
    assert message in str(caught.value)


def test_a_location_with_a_duckdb_file_is_tested_by_its_run() -> None:
    found = parse(PLATFORM % "landing: inbox, location: filed", "platform.yaml").kubernetes.test
    assert found is not None
    assert found.table is None
