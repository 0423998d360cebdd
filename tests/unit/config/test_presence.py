from pathlib import Path

import pytest
from dagster import DagsterInstance, DefaultRunLauncher
from dagster._core.instance import InstanceRef
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from slipway.config.presence import development_folder, is_development, on_platform

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("env", "platform", "development"),
    [
        ({}, False, True),
        ({"DAGSTER_HOME": "/opt/slipway"}, False, False),
        ({"SLIPWAY_PLATFORM": "platform.yaml"}, True, False),
        ({"SLIPWAY_PLATFORM_JSON": "{}"}, True, False),
    ],
)
def test_who_is_there(env: dict[str, str], platform: bool, development: bool) -> None:
    assert (on_platform(env), is_development(env)) == (platform, development)


def test_projects_of_one_checkout_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").touch()
    assert development_folder(tmp_path / "code_locations" / "shop") == tmp_path / ".slipway" / "dev"


def test_the_platforms_dagster_yaml_is_one_of_local_files_under_dg_dev(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DAGSTER_HOME", "SLIPWAY_PLATFORM", "SLIPWAY_PLATFORM_JSON"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    reference = InstanceRef.from_dir(str(tmp_path / "home"), config_dir=str(tmp_path))
    with DagsterInstance.from_ref(reference) as instance:
        assert isinstance(instance.run_launcher, DefaultRunLauncher)
        assert isinstance(reference.storage, DagsterSqliteStorage)
        assert isinstance(instance.compute_log_manager, LocalComputeLogManager)
        assert instance.get_runs() == []
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config is not None
        assert (limits.run_queue_config.max_concurrent_runs, limits.pool_config.default_pool_limit) == (4, 1)
