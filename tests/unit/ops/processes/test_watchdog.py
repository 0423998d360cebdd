import signal
import subprocess
import sys

import pytest

from slipway.launch import processes
from slipway.ops.processes.watchdog import Child, end, note

IGNORES = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
PARENT = f"import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', {IGNORES!r}]); print(c.pid, flush=True); time.sleep(600)"


@pytest.fixture
def parent():
    """A process whose child ignores SIGTERM, as a session of their own; and that child's pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    lines = {process.stdout.readline().strip(), process.stdout.readline().strip()} - {"ready"}
    yield process, int(lines.pop())
    processes.kill_group(process.pid)
    process.wait()


def test_a_line_tells_of_a_process_and_another_of_its_end(parent) -> None:
    process, _ = parent
    children: dict[str, Child] = {}
    note(children, f"+ web {process.pid} {int(signal.SIGINT)}\n")
    assert (children["web"].pid, children["web"].stop_signal) == (process.pid, signal.SIGINT)
    note(children, "- web\n")
    assert children == {}


def test_a_process_that_is_gone_already_is_not_noted() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    children: dict[str, Child] = {}
    note(children, f"+ web {process.pid} 15\n")
    assert children == {}


def test_grandchildren_end_too(parent) -> None:
    process, grandchild = parent
    children: dict[str, Child] = {}
    note(children, f"+ web {process.pid} 15")
    incarnation = processes.started(grandchild)
    assert incarnation is not None
    end(list(children.values()), grace=60)
    assert process.poll() == -signal.SIGTERM
    assert processes.wait_gone(grandchild, incarnation, 5)


def test_a_later_process_with_the_same_pid_is_left_alone(parent) -> None:
    process, _ = parent
    end([Child(process.pid, "another incarnation", signal.SIGTERM)])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
