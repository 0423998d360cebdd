"""The worker's command line, and its end by SIGTERM before Dagster has handlers of its own."""

import signal
import subprocess
import sys

WAITING = """
import time
from slipway.worker import __main__ as worker, limits
limits.join = lambda procs: (print("ready", flush=True), time.sleep(60))
worker.main(["{}"])
"""


def test_sigterm_before_the_run_ends_the_worker_at_once():
    process = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM
    process.stdout.close()


def test_what_is_missing_is_said():
    answer = subprocess.run(
        [sys.executable, "-m", "slipway.worker"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert "required: arguments" in answer.stderr
