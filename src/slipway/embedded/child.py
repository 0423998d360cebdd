"""Starts a program as a child that cannot outlive its parent, and as an ordinary user when asked.

Run as a script between `fork` and the program, so that nothing of it happens in a parent with threads:

    python -I -S child.py PARENT_PID DEATH_SIGNAL UID GID PROGRAM [ARGUMENT…]

On Linux the kernel sends DEATH_SIGNAL when the parent dies, however it dies. With a UID (not -1) the program
runs as that user and keeps one capability, to pass folders that it may not enter: the state folder can lie below
/root, and no mode of a folder that is not ours is changed for it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
NO_USER = -1


def command(
    argv: list[str], *, death_signal: signal.Signals = signal.SIGTERM, user: tuple[int, int] | None = None
) -> list[str]:
    """The command line that runs `argv` as a child of this process, as `user` (uid and gid) when given."""
    uid, gid = user or (NO_USER, NO_USER)
    script = Path(__file__).resolve()
    return [
        sys.executable, "-I", "-S", str(script), str(os.getpid()), str(int(death_signal)), str(uid), str(gid), *argv
    ]  # fmt: skip


def _become(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    """Become a user for good, with leave to traverse and read where this machine can give it."""
    linux = sys.platform == "linux"
    if linux:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # Else access(2), by which Postgres looks at its own files, leaves out an ordinary user's capabilities.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if linux and not any(_keep(libc, capability) for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)):
        _set_capabilities(libc, 0)


def _keep(libc: ctypes.CDLL, capability: int) -> bool:
    """Drop all capabilities but one, which the program inherits; false when it was not there to keep."""
    return (
        _set_capabilities(libc, 1 << capability)
        and libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0
    )


def _set_capabilities(libc: ctypes.CDLL, mask: int) -> bool:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable; the second half holds capabilities 32 and above
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    return bool(libc.capset(header, data) == 0)


def main(arguments: list[str]) -> None:
    """Prepare this process as told and become the program."""
    parent, death_signal, uid, gid = (int(argument) for argument in arguments[:4])
    program = arguments[4:]
    libc = ctypes.CDLL(None, use_errno=True)
    if uid != NO_USER:
        _become(libc, uid, gid)
    if sys.platform == "linux":
        # After the change of user, which clears it; and the parent may have died before.
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(f"the parent process {parent} is gone")
    os.execvp(program[0], program)  # noqa: S606 - there is no shell to start


if __name__ == "__main__":
    main(sys.argv[1:])
