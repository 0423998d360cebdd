"""Every image that a platform is made of on Kubernetes, for sites whose clusters pull from their own registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slipway.config.base import Image
from slipway.config.images import from_registry
from slipway.config.model import Platform
from slipway.ops.storages import any_is_bundled


@dataclass(frozen=True)
class Needed:
    """An image as pods name it, where it comes from, and the keys of platform.yaml that need it."""

    image: str
    source: str
    keys: tuple[str, ...]


def needed(platform: Platform) -> list[Needed]:
    """The images, by name; bundled services count only where the platform uses them."""
    keys: dict[tuple[str, str], list[str]] = {}
    for key, image in _images(platform):
        name = from_registry(image, platform.kubernetes.image_registry)
        keys.setdefault((name, str(image)), []).append(key)
    return [Needed(image, source, tuple(found)) for (image, source), found in sorted(keys.items())]


def _images(platform: Platform) -> Iterator[tuple[str, Image]]:
    yield "kubernetes.image", platform.kubernetes.image
    for name, location in sorted(platform.code_locations.items()):
        yield f"code_locations.{name}.image", location.image
    if platform.postgres.is_bundled:
        yield "kubernetes.postgres.image", platform.kubernetes.postgres.image
    if any_is_bundled(platform):
        yield "kubernetes.localstack.image", platform.kubernetes.localstack.image
