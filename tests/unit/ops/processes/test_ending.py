"""What the signals' handling means for the programs that are started."""

import subprocess
import sys

STARTS = """
import signal, subprocess, sys
from slipway.ops.processes.ending import Ending
signal.signal(signal.SIGINT, signal.SIG_IGN)
Ending(with_parent=False)
signal.raise_signal(signal.SIGINT)
child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
subprocess.run([sys.executable, "-c", child], check=True)
"""


def test_in_a_scripts_background_ctrl_c_is_ignored_and_what_is_started_can_be_ended() -> None:
    done = subprocess.run([sys.executable, "-c", STARTS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr
