"""The images of a platform on Kubernetes."""

from __future__ import annotations

from slipway.config.base import Image
from slipway.config.model import Platform, Storage


def images(platform: Platform) -> list[Image]:
    """Every image that an install of the platform runs, each once, as platform.yaml and the chart name them."""
    kubernetes = platform.kubernetes
    storages = platform.storage or {"default": Storage(bundled=True)}
    found = [
        kubernetes.image,
        *(location.image for location in platform.code_locations.values()),
        *([kubernetes.postgres.image] if platform.postgres.is_bundled else []),
        *([kubernetes.localstack.image] if any(storage.bundled for storage in storages.values()) else []),
    ]
    return sorted({str(image): image for image in found}.values(), key=str)


def in_registry(image: Image, registry: str) -> str:
    """An image as it is called in the registry that every image is taken from; its own name without one.

    The registry takes the place of the image's own: the first part of its name, where that looks like a host.
    """
    if not registry:
        return str(image)
    host, slash, rest = image.repository.partition("/")
    is_host = bool(slash) and ("." in host or ":" in host or host == "localhost")
    return f"{registry}/{rest if is_host else image.repository}:{image.tag}"
