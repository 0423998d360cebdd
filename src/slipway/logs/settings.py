"""What platform.yaml and the runtime say of compute logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway.config.connections import s3_settings
from slipway.config.model import ComputeLogs, Platform
from slipway.logs.store import LogStore


@dataclass(frozen=True)
class LogSettings:
    """Where logs are kept, and where they are written before."""

    enabled: bool
    local_dir: Path
    interval: float
    """Seconds between uploads while a step runs."""
    store: LogStore


def log_settings(platform: Platform, env: Mapping[str, str]) -> LogSettings:
    """The settings of this process. S3 itself is looked up when it is first used: an error there fails no run."""
    logs = platform.observability.compute_logs
    return LogSettings(
        enabled=logs.enabled,
        local_dir=_local_dir(logs, env),
        interval=logs.upload_interval,
        store=LogStore(logs.bucket, logs.prefix, lambda: s3_settings(platform, logs.storage_ref, env)),
    )


def _local_dir(logs: ComputeLogs, env: Mapping[str, str]) -> Path:
    """Processes on a laptop share its /tmp with others: there, the default lies in the state folder."""
    is_default = logs.local_dir == ComputeLogs.model_fields["local_dir"].default
    if env.get("SLIPWAY_RUNTIME") == "process" and is_default:
        return Path(env.get("SLIPWAY_STATE") or ".slipway").absolute() / "compute-logs"
    return Path(logs.local_dir).absolute()
