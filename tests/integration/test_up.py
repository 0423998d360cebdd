"""`slipway up` with a code location: what it does when something crashes, and that every end is an end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from laptops import ROOT, SLIPWAY, Ground, slipway, state_environment
from waiting import until


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a platform of the small location alone."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    (folder / "platform.yaml").write_text(
        "code_locations:\n"
        f"  veteran: {{path: {ROOT / 'code_locations' / 'veteran'}, image: {{repository: r, tag: t}}, python: '3.11'}}\n"
    )
    return folder


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "state"


def answer(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status
    except OSError:
        return 0


def test_crashes_are_mended_a_second_one_is_refused_and_ctrl_c_ends_it(
    project: Path, state: Path, tmp_path: Path
) -> None:
    ground = Ground.look(state.parent)
    with slipway("up", state=state, cwd=project, log=tmp_path / "log") as up:
        up.wait_for("UI: ")
        url = up.output.split("UI: ")[1].split()[0]
        ports = up.note()
        assert len(ports) == 4, "postgres, s3, webserver, code server"
        assert answer(f"{url}/server_info") == 200

        second = subprocess.run(
            [SLIPWAY, "up"],
            cwd=project,
            env=state_environment(state, SLIPWAY_UI_PORT="0"),
            capture_output=True,
            text=True,
        )
        assert second.returncode == 2
        assert f"another `slipway` (process {up.process.pid})" in second.stderr

        query = f". {state}/env && {SLIPWAY} sql --csv 'SELECT 42 AS answer'"
        other_shell = subprocess.run(["sh", "-c", query], cwd=tmp_path, capture_output=True, text=True)
        assert other_shell.stdout.split() == ["answer", "42"], other_shell.stderr

        up.of("slipway.webserver").kill()
        up.of("slipway.code_server").kill()
        up.of("processes.watchdog").kill()
        up.wait_for("webserver ended, killed by SIGKILL")
        up.wait_for("code-veteran started again")
        up.wait_for("started another")
        until(lambda: answer(f"{url}/server_info") == 200, 60, "the UI answers again")

        ports += up.note()
        os.killpg(up.process.pid, signal.SIGINT)
        assert up.process.wait(90) == 0
        up.assert_gone(ports, seconds=0)
    assert ground.changes() == []


def test_what_was_kept_is_there_again_and_sigterm_ends_it(project: Path, state: Path, tmp_path: Path) -> None:
    with slipway("up", state=state, cwd=project, log=tmp_path / "log") as up:
        up.wait_for("UI: ")
        ports = up.note()
        keeper = (state / "logs" / "storage-keeper.log").read_text()
        assert "restored" in keeper
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(90) == 0
        up.assert_gone(ports, seconds=0)


@pytest.mark.parametrize("both", [False, True], ids=["parent", "parent and watchdog"])
def test_sigkill_leaves_nothing_and_the_next_start_copes(
    project: Path, state: Path, tmp_path: Path, both: bool
) -> None:
    with slipway("up", "--fresh", state=state, cwd=project, log=tmp_path / "log") as up:
        up.wait_for("UI: ")
        ports = up.note()
        watchdog = up.of("processes.watchdog")
        up.process.kill()
        if both:
            watchdog.kill()
        up.process.wait()
        up.assert_gone(ports)


def test_a_lost_storage_says_so_with_the_way_out(project: Path, state: Path, tmp_path: Path) -> None:
    # The test before killed what would have saved the storage.
    with slipway("up", state=state, cwd=project, log=tmp_path / "log") as up:
        assert up.process.wait(120) == 2
        assert "this is not the storage" in up.output
        assert "slipway up --fresh" in up.output
        up.assert_gone([], seconds=0)


def test_it_ends_with_the_program_that_started_the_demo(state: Path, tmp_path: Path) -> None:
    command = ["sh", "-c", f"{SLIPWAY} demo; true"]
    with slipway(state=state, cwd=ROOT, log=tmp_path / "log", command=command) as up:
        up.wait_for("starting postgres")
        ports = up.note()
        up.process.kill()
        up.assert_gone(ports)


def test_a_port_in_use_is_said_before_anything_starts(project: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        env = state_environment(tmp_path / "state", SLIPWAY_UI_PORT=str(port))
        refused = subprocess.run([SLIPWAY, "up"], cwd=project, env=env, capture_output=True, text=True)
    assert refused.returncode == 2
    assert f"error: port {port}, where the UI would be, is in use by" in refused.stderr
    assert f"(process {os.getpid()})" in refused.stderr
    assert not (tmp_path / "state" / "logs").exists()


def test_a_service_that_dies_at_start_shows_the_end_of_its_log(
    project: Path, state: Path, tmp_path: Path
) -> None:
    (tmp_path / "platform.yaml").write_text("defaults: {}\n")
    (tmp_path / "dagster.yaml").write_text("no_such_setting: 1\n")
    with slipway("up", "--fresh", state=state, cwd=tmp_path, log=tmp_path / "log") as up:
        assert up.process.wait(120) == 2
        assert "no_such_setting" in up.output
        assert "whole log:" in up.output
        up.assert_gone([], seconds=0)
