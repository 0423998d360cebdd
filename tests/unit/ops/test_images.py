from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slipway.config import loader
from slipway.config.base import Image
from slipway.ops import compose
from slipway.ops.images import images, in_registry

LOCATIONS = """
code_locations:
  one: {path: one, image: {repository: team/shared, tag: "1"}}
  two: {path: two, image: {repository: team/shared, tag: "1"}}
  three: {path: three, image: {repository: team/three, tag: "3"}}
"""
EXTERNAL = """
postgres: {host: db, user: {env: U}, password: {env: P}}
storage: {default: {endpoint: "https://s3.example.com"}}
"""
OURS = ["slipway/platform:0.1.0", "team/shared:1", "team/three:3"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LOCATIONS, ["localstack/localstack:4.14.0", "postgres:17", *OURS]),
        (LOCATIONS + EXTERNAL, OURS),
    ],
    ids=["a trial", "services of one's own"],
)
def test_each_image_that_runs_is_listed_once(text: str, expected: list[str]) -> None:
    assert [str(image) for image in images(loader.parse(text, "platform.yaml"))] == expected


@pytest.mark.parametrize(
    ("repository", "registry", "expected"),
    [
        ("slipway/platform", "", "slipway/platform:1"),
        ("slipway/platform", "reg.example.com/team", "reg.example.com/team/slipway/platform:1"),
        ("postgres", "reg.example.com", "reg.example.com/postgres:1"),
        ("ghcr.io/team/x", "reg.example.com", "reg.example.com/team/x:1"),
        ("host:5000/x", "reg.example.com", "reg.example.com/x:1"),
        ("localhost/x", "reg.example.com", "reg.example.com/x:1"),
    ],
)
def test_one_registry_takes_the_place_of_every_other(repository: str, registry: str, expected: str) -> None:
    assert in_registry(Image(repository=repository, tag="1"), registry) == expected


def test_an_image_is_built_for_a_cluster_as_it_is_for_compose() -> None:
    root = Path(__file__).resolve().parents[3]
    platform = loader.parse((root / "platform.yaml").read_text(), "platform.yaml")
    composed = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]
    for_compose = {service["image"]: service["build"] for service in composed.values() if "build" in service}
    services = compose.builds(platform)["services"].values()
    assert {service["image"]: service["build"] for service in services} == for_compose
