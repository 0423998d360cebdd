import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.embedded import child
from slipway.launch import processes

ASK = "import os, sys; print(os.getuid(), os.access(sys.argv[1], os.R_OK), open(sys.argv[1]).read())"


@pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="changes to another user: root on Linux"
)
def test_another_user_passes_folders_that_are_closed_to_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    secret = tmp_path / "secret"
    secret.write_text("read")
    secret.chmod(0o600)
    nobody = pwd.getpwnam("nobody")
    command = child.command([sys.executable, "-c", ASK, str(secret)], user=(nobody.pw_uid, nobody.pw_gid))
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.stdout.split() == [str(nobody.pw_uid), "True", "read"], done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own signal at a parent's death: Linux")
def test_it_ends_when_its_parent_is_killed() -> None:
    script = (
        "import subprocess, time; from slipway.embedded import child; "
        "p = subprocess.Popen(child.command(['sleep', '600'])); print(p.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        incarnation = processes.started(pid)
        assert incarnation is not None
        parent.send_signal(signal.SIGKILL)
        assert processes.wait_gone(pid, incarnation, 10)
