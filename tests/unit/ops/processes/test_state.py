import os
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.config.errors import UserError
from slipway.ops.processes.state import State

HOLD = """
import sys
from pathlib import Path
from slipway.ops.processes.state import State
lock = State(Path(sys.argv[1]), Path(sys.argv[1])).hold()
print("held", flush=True)
sys.stdin.read()
"""


def test_one_process_holds_the_folder_and_its_death_frees_it(tmp_path: Path) -> None:
    state = State(tmp_path / "state", tmp_path / "cache")
    command = [sys.executable, "-c", HOLD, str(state.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {first.pid}"):
            state.hold()
        first.kill()
        first.wait()
    with state.hold():
        assert (state.folder / "lock").read_text() == str(os.getpid())


def test_clearing_spares_lock_and_cache(tmp_path: Path) -> None:
    state = State(tmp_path, tmp_path / "cache")
    (state.cache / "environments").mkdir(parents=True)
    (state.folder / "postgres" / "data").mkdir(parents=True)
    (state.folder / "workspace.yaml").write_text("x")
    with state.hold():
        state.clear()
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "lock"}


def test_clearing_spares_the_state_folders_inside(tmp_path: Path) -> None:
    demo = State(tmp_path / "demo", tmp_path / "cache")
    state = State(tmp_path, tmp_path / "cache")
    with demo.hold(), state.hold():
        (demo.folder / "postgres").mkdir()
        state.check_clearable()
        state.clear()
    assert (demo.folder / "postgres").is_dir()


def test_a_folder_of_other_things_is_not_cleared(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="thesis"):
        State(tmp_path, tmp_path / "cache").check_clearable()
    State(tmp_path / "new", tmp_path / "cache").check_clearable()
