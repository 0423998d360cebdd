"""The launcher in the process runtime, with the tests' own interpreter as the location's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster._core.workspace.load_target import ModuleTarget

from launching import PLATFORM, Launching, launching
from slipway.embedded.postgres import EmbeddedPostgres
from slipway.launch import process

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("state")
    yield folder
    process.clear(folder)
    assert list((folder / "runs").glob("*")) == []


@pytest.fixture(scope="module")
def platform_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("platform") / "platform.yaml"
    path.write_text(PLATFORM.replace("path: launched", f"path: {TESTS}"))
    return path


@pytest.fixture(scope="module")
def launcher(platform_file: Path, state: Path, postgres_server: EmbeddedPostgres) -> Iterator[Launching]:
    home = platform_file.parent / "home"
    home.mkdir()
    target = ModuleTarget(
        module_name="launched.definitions",
        attribute=None,
        working_directory=str(TESTS),
        location_name="launched",
    )
    environment = {
        "SLIPWAY_RUNTIME": "process",
        "SLIPWAY_STATE": str(state),
        "SLIPWAY_PLATFORM": str(platform_file),
        "SLIPWAY_POSTGRES_URL": postgres_server.url,
        "DAGSTER_HOME": str(home),
        "DAEMON_SECRET": "s3cret",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with launching(home, target) as harness:
            yield harness
