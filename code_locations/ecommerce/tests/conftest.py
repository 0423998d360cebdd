import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance
from slipway.resources import LakeResource

from ecommerce.definitions import defs

PLATFORM = ("SLIPWAY_PLATFORM", "SLIPWAY_PLATFORM_JSON", "SLIPWAY_LOCATION", "DAGSTER_ENV")


@pytest.fixture(autouse=True)
def no_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project alone, with its lake in a folder of the test's."""
    for variable in PLATFORM:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lake() -> LakeResource:
    return LakeResource(local_name="ecommerce")


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake with all that the landing's job makes of the sample."""
    folder = tmp_path_factory.mktemp("sample")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variable in PLATFORM:
            patch.delenv(variable, raising=False)
        assert defs().resolve_job_def("load_jaffle_shop").execute_in_process().success
    return folder / ".lake"


@pytest.fixture
def loaded(sample_lake: Path, lake: LakeResource, tmp_path: Path) -> LakeResource:
    """The lake with the tables of the sample, the test's own copy of it."""
    shutil.copytree(sample_lake, tmp_path / ".lake")
    return lake
