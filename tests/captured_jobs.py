"""Jobs whose output is captured, run in a process of their own: `python captured_jobs.py JOB`.

Where a step waits, it waits for a file in the folder that HANDSHAKE names, and tells so by another.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from dagster import (
    DagsterInstance,
    OpExecutionContext,
    RetryPolicy,
    execute_job,
    in_process_executor,
    job,
    op,
)
from dagster._core.definitions.reconstruct import ReconstructableJob


def wait_for(name: str) -> None:
    """Tell that this step is here, then wait until it may go on."""
    folder = Path(os.environ["HANDSHAKE"])
    (folder / f"{name}.reached").touch()
    deadline = time.monotonic() + 60
    while not (folder / name).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(name)
        time.sleep(0.02)


@op
def speak(context: OpExecutionContext) -> int:
    """Print by Python and by a child process, and log."""
    print("from python")
    print("on stderr", file=sys.stderr)
    subprocess.run(["echo", "from a child"], check=True)
    context.log.info("from the logger")
    return 1


@op
def listen(value: int) -> int:
    """Print a value."""
    print(f"heard {value}")
    return value + 1


@job(executor_def=in_process_executor)
def talk() -> None:
    """One step."""
    speak()


@job
def chain() -> None:
    """Four steps in processes of their own, one after the other."""
    listen(listen.alias("third")(listen.alias("second")(speak())))


@op
def hold() -> None:
    """Print, wait, and print again."""
    print("before")
    sys.stdout.write("without a newline")
    wait_for("go")
    print("after")


@job
def held() -> None:
    """A step that waits, in a process of its own."""
    hold()


@op(retry_policy=RetryPolicy(max_retries=2))
def stumble(context: OpExecutionContext) -> None:
    """Fail twice."""
    print(f"this is attempt {context.retry_number}")
    if context.retry_number < 2:
        raise RuntimeError("stumbled")


@job
def stumbling() -> None:
    """A step that is retried."""
    stumble()


@op
def chatter() -> None:
    """Print 12 MiB, in segments' size while it runs."""
    line = "x" * 1023
    for number in range(12 * 1024):
        print(f"{number:06}{line[6:]}")
    wait_for("go")


@job(executor_def=in_process_executor)
def chattering() -> None:
    """A step with a long log."""
    chatter()


if __name__ == "__main__":
    with DagsterInstance.get() as instance:
        done = execute_job(
            ReconstructableJob.for_file(__file__, sys.argv[1]), instance=instance, raise_on_error=False
        )
    sys.exit(0 if done.success else 1)
