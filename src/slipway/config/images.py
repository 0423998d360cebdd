"""Names of images where one registry has them all."""

from __future__ import annotations

from slipway.config.base import Image


def from_registry(image: Image, registry: str) -> str:
    """The full name of an image, taken from a registry: `kubernetes.imageRegistry`, or empty for each image's own.

    The registry takes the place of the one that the repository names, which is its first part if that has a dot or a
    colon or is localhost, and stands before any other: `ghcr.io/team/app` and `team/app` are the same there.
    """
    first, slash, rest = image.repository.partition("/")
    if not registry:
        return str(image)
    named = slash and ("." in first or ":" in first or first == "localhost")
    return f"{registry}/{rest if named else image.repository}:{image.tag}"
