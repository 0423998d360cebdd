"""Which storages and buckets platform.yaml makes use of, and whether the runtime brings them."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.config.model import Platform


@dataclass(frozen=True)
class Use:
    """A bucket that the platform uses, and the key of platform.yaml that names it."""

    storage_ref: str
    bucket: str
    key: str


def uses(platform: Platform) -> list[Use]:
    """Every bucket that platform.yaml names."""
    logs = platform.observability.compute_logs
    found = [Use(platform.lake.storage_ref, platform.lake.bucket, "lake.bucket")]
    if logs.enabled:
        found.append(Use(logs.storage_ref, logs.bucket, "observability.compute_logs.bucket"))
    for name, landing in platform.landing.items():
        found.append(Use(landing.storage_ref, landing.bucket, f"landing.{name}.bucket"))
    return found


def is_bundled(platform: Platform, storage_ref: str) -> bool:
    """Whether the runtime brings the storage, so that its buckets are ours to make."""
    storage = platform.storage.get(storage_ref)
    return storage is None or bool(storage.bundled)


def any_is_bundled(platform: Platform) -> bool:
    """Whether anything that platform.yaml says is on the S3 that the runtime brings."""
    return any(is_bundled(platform, use.storage_ref) for use in uses(platform))
