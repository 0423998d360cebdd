"""How a run worker takes its limits, tried in a process of its own."""

import subprocess
import sys

import pytest

from slipway.worker import limits

linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds nothing elsewhere")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@linux
def test_beyond_the_data_limit_an_allocation_fails_and_nothing_is_killed():
    code = "from slipway.worker import limits; limits.limit_data(2**28); print('in'); bytearray({size})"
    assert python(code.format(size=2**26)).returncode == 0
    beyond = python(code.format(size=2**29))
    assert beyond.returncode == 1
    assert beyond.stdout == "in\n"
    assert "MemoryError" in beyond.stderr


@linux
def test_children_inherit_the_data_limit():
    child = "import resource; print(resource.getrlimit(resource.RLIMIT_DATA)[0])"
    answer = python(
        "import subprocess, sys; from slipway.worker import limits; limits.limit_data(2**29);"
        f"subprocess.run([sys.executable, '-c', {child!r}])"
    )
    assert answer.stdout == f"{2**29}\n"


def test_the_worker_enters_every_group(tmp_path, monkeypatch):
    monkeypatch.setattr("os.getpid", lambda: 4711)
    files = [tmp_path / "memory", tmp_path / "cpu"]
    limits.join(files)
    assert [file.read_text() for file in files] == ["4711", "4711"]
