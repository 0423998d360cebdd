from __future__ import annotations

from pathlib import Path

import yaml

from slipway.config import loader
from slipway.ops import compose


def test_an_image_is_built_for_a_cluster_as_it_is_for_compose() -> None:
    root = Path(__file__).resolve().parents[3]
    platform = loader.parse((root / "platform.yaml").read_text(), "platform.yaml")
    composed = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]
    for_compose = {service["image"]: service["build"] for service in composed.values() if "build" in service}
    services = compose.builds(platform)["services"].values()
    assert {service["image"]: service["build"] for service in services} == for_compose
