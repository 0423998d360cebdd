from pathlib import Path

import pytest
from slipway.resources import LakeResource


@pytest.fixture(autouse=True)
def no_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project alone, with its lake in a folder of the test's."""
    for variable in ("SLIPWAY_PLATFORM", "SLIPWAY_PLATFORM_JSON", "SLIPWAY_LOCATION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lake() -> LakeResource:
    return LakeResource(local_name="ecommerce")
