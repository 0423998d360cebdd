"""What platform.yaml says of compute logs, and where they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from slipway.config.loader import parse
from slipway.logs.manager import SlipwayComputeLogManager
from slipway.logs.settings import log_settings
from slipway.logs.store import StoreUnavailable

LOGS = "observability: {{compute_logs: {{{}}}}}"


@pytest.mark.parametrize(
    ("given", "env", "folder"),
    [
        ("", {"SLIPWAY_RUNTIME": "docker"}, "/tmp/dagster-compute-logs"),
        ("", {"SLIPWAY_RUNTIME": "process", "SLIPWAY_STATE": "/state"}, "/state/compute-logs"),
        ("local_dir: /var/logs", {"SLIPWAY_RUNTIME": "process", "SLIPWAY_STATE": "/state"}, "/var/logs"),
        ("local_dir: /var/logs", {"SLIPWAY_RUNTIME": "docker"}, "/var/logs"),
    ],
)
def test_the_local_folder_is_a_containers_own_or_in_the_state_folder(
    given: str, env: dict[str, str], folder: str
) -> None:
    assert log_settings(parse(LOGS.format(given), "x"), env).local_dir == Path(folder)


def test_bucket_prefix_and_interval_are_those_of_platform_yaml() -> None:
    settings = log_settings(parse(LOGS.format("bucket: abc, prefix: x/y/, upload_interval: 7"), "x"), {})
    assert settings.interval == 7
    assert (
        settings.store.location(["run", "compute_logs", "k"], ComputeIOType.STDOUT)
        == "s3://abc/x/y/run/compute_logs/k.out"
    )


def test_the_storage_is_the_one_that_storage_ref_names() -> None:
    text = (
        LOGS.format("storage_ref: elsewhere")
        + """
storage:
  elsewhere: {endpoint: "http://s3", access_key_id: {env: ABSENT}, secret_access_key: {env: ABSENT}}
"""
    )
    settings = log_settings(parse(text, "x"), {})
    with pytest.raises(StoreUnavailable, match=r"storage\.elsewhere\.access_key_id: .*ABSENT") as raised:
        settings.store.is_finished(["a", "b", "c"])
    assert raised.value.refused


def test_without_credentials_the_log_is_refused_and_the_run_is_not(tmp_path: Path) -> None:
    platform = parse(LOGS.format(f"local_dir: {tmp_path}"), "x")
    manager = SlipwayComputeLogManager(log_settings(platform, {"SLIPWAY_RUNTIME": "docker"}))
    data, offset = manager.get_log_data_for_type(["a", "compute_logs", "c"], ComputeIOType.STDERR, 5, None)
    assert data is not None
    assert b"SLIPWAY_S3_ENDPOINT does not say where" in data
    assert offset == 5


def test_turned_off_logs_are_dagsters_own_local_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logs = {"enabled": False, "local_dir": str(tmp_path)}
    monkeypatch.setenv("SLIPWAY_PLATFORM_JSON", json.dumps({"observability": {"compute_logs": logs}}))
    manager = SlipwayComputeLogManager.from_config_value(None, {})
    assert isinstance(manager, LocalComputeLogManager)
    assert Path(manager.get_captured_local_path(["a"], "out")).parent == tmp_path
