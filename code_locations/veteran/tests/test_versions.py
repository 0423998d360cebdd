import sys
from importlib.metadata import version

from dagster import DagsterInstance

from veteran.definitions import defs


def test_versions_are_its_own() -> None:
    job = defs().resolve_implicit_global_asset_job_def()
    with DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
    assert result.success
    (materialization,) = result.asset_materializations_for_node("versions")
    metadata = {name: entry.value for name, entry in materialization.metadata.items()}
    assert metadata["dagster"] == version("dagster")
    assert str(metadata["dagster"]).startswith("1.12.")
    assert metadata["duckdb"] == "1.5.3"
    assert str(metadata["python"]).startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
