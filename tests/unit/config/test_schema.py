"""The schema says of a file what the loader says of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from slipway.config import schema
from slipway.config.errors import PlatformFileError
from slipway.config.loader import parse
from slipway.config.model import Platform

ROOT = Path(__file__).parents[3]


def nodes(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from nodes(value, (*path, key))
    if isinstance(node, list):
        for value in node:
            yield from nodes(value, path)


def test_it_is_a_schema_of_its_draft() -> None:
    assert schema.schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema.schema())


def test_it_is_the_same_each_time_and_the_committed_one() -> None:
    assert schema.render() == schema.render()
    assert (ROOT / "schema/platform.schema.json").read_text("utf-8") == schema.render()


def test_every_field_has_a_description() -> None:
    whole = schema.schema()
    for path, node in nodes(whole):
        if path and path[-1] == "properties":
            for name, field in node.items():
                target = whole["$defs"].get(field.get("$ref", "").removeprefix("#/$defs/"), {})
                assert field.get("description") or target.get("description"), f"{'.'.join(path)}.{name}"


PASSED_THROUGH = {
    "nodeAffinity",
    "podAffinity",
    "podAntiAffinity",
    "topologySpreadConstraints",
    "valueFrom",
    "egress",
    "dnsTo",
    "webserverFrom",
    "postgresTo",
    "storageTo",
    "apiServerTo",
}
"""Kubernetes' own types, which the API server knows and checks."""


def test_no_object_takes_unknown_keys_but_kubernetes_own() -> None:
    objects = [(path, node) for path, node in nodes(schema.schema()) if node.get("type") == "object"]
    assert len(objects) > 15
    through = set()
    for path, node in objects:
        closed = node.get("additionalProperties")
        if closed is True:
            through.add(path[-2] if path[-1] == "items" else path[-1])
        else:
            assert closed is False or isinstance(closed, dict), ".".join(path)
    assert through == PASSED_THROUGH


def test_null_is_no_value() -> None:
    assert '"null"' not in schema.render()
    assert ": null" not in schema.render()


VALID = [
    "{}",
    (ROOT / "platform.yaml").read_text("utf-8"),
    "infrastructure: {resource_profiles: {p: {limits: {cpu: 2, memory: 1.5Gi, ephemeral-storage: 5Gi}}}}",
    "postgres: {host: db, user: {env: U}, password: {secret: {name: a, key: b}}, sslmode: require}",
    "storage: {s: {endpoint: 'http://s3:9000', access_key_id: {file: /k}, secret_access_key: {file: /s}}}",
    "code_locations: {s: {path: p, image: {repository: a, tag: b}, env: {A: x, B: {env: C}}}}",
]
INVALID = [
    "lakes: {}",
    "lake: {bucket: My_Lake}",
    "lake:",
    "storage: {My-S3: {}}",
    "storage: {s: {endpoint: 's3:9000'}}",
    "infrastructure: {resource_profiles: {p: {limits: {cpu: 4GB}}}}",
    "infrastructure: {resource_profiles: {p: {limits: {cpu: -1}}}}",
    "infrastructure: {resource_profiles: {p: {env: {A: 1}}}}",
    "infrastructure: {resource_profiles: {p: {env: {A-B: x}}}}",
    "observability: {compute_logs: {retention_days: '30'}}",
    "observability: {compute_logs: {manager_type: azure}}",
    "postgres: {host: db, password: hunter2}",
    "postgres: {host: db, user: {env: A, file: b}}",
    "landing: {l: {}}",
    "code_locations: {s: {path: p, image: {repository: a, tag: 1.10}}}",
    "code_locations: {s: {path: p, image: {repository: a, tag: b}, env: {A: 1}}}",
]


@pytest.mark.parametrize("text", VALID)
def test_valid_for_both(text: str) -> None:
    parse(text, "p.yaml")
    jsonschema.validate(yaml.safe_load(text), schema.schema())


@pytest.mark.parametrize("text", INVALID)
def test_invalid_for_both(text: str) -> None:
    with pytest.raises(PlatformFileError):
        parse(text, "p.yaml")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), schema.schema())


def test_defaults_in_the_schema_are_the_models() -> None:
    generated = json.loads(schema.render())
    logs = generated["$defs"]["ComputeLogs"]["properties"]
    assert {
        name: logs[name]["default"] for name in logs
    } == Platform().observability.compute_logs.model_dump()


def test_the_references_have_every_key_once() -> None:
    keys = [key for key, _ in schema.leaves(Platform)]
    assert len(keys) == len(set(keys))
    tables = schema.reference().splitlines()[2:], schema.kubernetes_reference().splitlines()[2:]
    everywhere, chart = ([line.split("`")[1] for line in table] for table in tables)
    assert [*everywhere, *chart] == keys
    assert all(key.startswith("kubernetes.") for key in chart)
    assert not any(key.startswith("kubernetes.") for key in everywhere)
    assert {"postgres.sslmode", "infrastructure.resource_profiles.<name>.limits.ephemeral-storage"} < set(
        keys
    )
    assert (
        "| `landing.<name>.bucket` | text | required | Bucket that files arrive in. |" in schema.reference()
    )
    row = '| `kubernetes.webserver.resources.limits.memory` | text | `"1Gi"` | '
    assert row in schema.kubernetes_reference()
