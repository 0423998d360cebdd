"""Ports of 127.0.0.1: whether one is free, and if not, who has it."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from slipway.config.errors import UserError
from slipway.embedded.service import free_port

LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


def ui_port(wanted: int) -> int:
    """The port for the UI: the wanted one, or any free one for 0.

    Raises:
        UserError: it is in use; the message says by whom where that can be known.
    """
    if wanted == 0:
        return free_port()
    with socket.socket() as probe:
        # As the webserver does: a port that a past connection still lingers on is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            holder = holder_of(wanted)
            raise UserError(
                f"port {wanted}, where the UI would be, "
                + (f"is in use by {holder}" if holder else f"cannot be used: {error.strerror}"),
                f"end what uses it, or take another port: SLIPWAY_UI_PORT={wanted + 1} (0 takes any free one)",
            ) from error
    return wanted


def holder_of(port: int) -> str | None:
    """The process that listens on a port, as `name (process 123)`; None when this user may not know."""
    if Path("/proc/net/tcp").exists():
        inodes = set(_listening(port))
        pid = next(_holding(inodes), None)
        name = _read(Path(f"/proc/{pid}/comm")) if pid else ""
    elif shutil.which("lsof"):
        question = ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
        answer = subprocess.run(question, capture_output=True, text=True, check=False).stdout.splitlines()
        fields = {line[0]: line[1:] for line in answer if line}
        pid, name = fields.get("p"), fields.get("c", "")
    else:
        return None
    return f"{name.strip()} (process {pid})" if pid else None


def _listening(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _read(Path(table)).splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _holding(inodes: set[str]) -> Iterator[str]:
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            for descriptor in folder.iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) in sockets:
                        yield folder.parent.name


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
