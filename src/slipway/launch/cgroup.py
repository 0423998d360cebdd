"""Limits that the Linux kernel holds for a process and its children, where cgroups are writable (v1 and v2).

Groups are made under a group `slipway`, below the nearest one of our own that may have children. In v2 that
is an ancestor, since a group with processes has no controlled children; in v1 it is our own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from slipway.memory import kernel

PERIOD = 100_000
"""Microseconds of the CPU quota's period."""

PARENT = "slipway"


@dataclass(frozen=True)
class Hierarchy:
    """Where groups are made: the folder that gets a child `slipway`, for each controller."""

    version: int
    memory: Path
    cpu: Path | None
    """None: CPU cannot be limited here."""


@dataclass(frozen=True)
class Group:
    """The group of one run: a folder per controller, the same one in v2."""

    version: int
    memory: Path
    cpu: Path | None

    @property
    def folders(self) -> list[Path]:
        """The group's folders, without doubles."""
        return [self.memory] if self.cpu in (None, self.memory) else [self.memory, self.cpu]

    @property
    def procs(self) -> list[Path]:
        """The files that a process writes its pid into to enter."""
        return [folder / "cgroup.procs" for folder in self.folders]

    def create(self, memory: int, cpu: Decimal) -> None:
        """Make the group with its limits, or give an existing one these limits.

        Args:
            memory: bytes, swap included.
            cpu: cores.

        Raises:
            OSError: the kernel or its permissions refuse.
        """
        for folder in self.folders:
            self._make_parent(folder.parent)
            folder.mkdir(exist_ok=True)
        quota = int(cpu * PERIOD)
        if self.version == 2:
            (self.memory / "memory.max").write_text(str(memory))
            _write_if_there(self.memory / "memory.swap.max", "0")
            if self.cpu:
                (self.cpu / "cpu.max").write_text(f"{quota} {PERIOD}")
            return
        (self.memory / "memory.limit_in_bytes").write_text(str(memory))
        _write_if_there(self.memory / "memory.memsw.limit_in_bytes", str(memory))
        if self.cpu:
            (self.cpu / "cpu.cfs_period_us").write_text(str(PERIOD))
            (self.cpu / "cpu.cfs_quota_us").write_text(str(quota))

    def _make_parent(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        if self.version == 2:
            controllers = "+memory +cpu" if self.cpu else "+memory"
            (folder / "cgroup.subtree_control").write_text(controllers)

    @property
    def account(self) -> kernel.Account:
        """What the kernel counts of the group's memory."""
        return kernel.Account(self.version, self.memory)

    def members(self) -> list[int]:
        """The pids in the group."""
        with suppress(FileNotFoundError):
            return [int(line) for line in self.procs[0].read_text().split()]
        return []

    def remove(self, seconds: float = 5) -> None:
        """Remove the group once its processes are gone, and the parent once it is empty.

        Raises:
            OSError: processes are left in it after so many seconds.
        """
        deadline = time.monotonic() + seconds
        for folder in self.folders:
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            with suppress(OSError):
                folder.parent.rmdir()


def group(hierarchy: Hierarchy, name: str) -> Group:
    """The group of this name, made or not."""
    cpu = hierarchy.cpu / PARENT / name if hierarchy.cpu else None
    return Group(hierarchy.version, hierarchy.memory / PARENT / name, cpu)


def writable() -> Hierarchy | None:
    """Where this process can make groups and put a child of its own into one, tried out; None: nowhere."""
    if sys.platform != "linux":
        return None
    found = find(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    if found is None or _works(found):
        return found
    memory_alone = Hierarchy(found.version, found.memory, None)
    return memory_alone if found.cpu and _works(memory_alone) else None


def _works(hierarchy: Hierarchy) -> bool:
    # The sleeper is in nobody's way: it ends with its input, and does nothing before.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as sleeper:
        trial = group(hierarchy, f"trial-{sleeper.pid}")
        try:
            trial.create(2**28, Decimal(1))
            for file in trial.procs:
                file.write_text(str(sleeper.pid))
        except OSError:
            return False
        finally:
            sleeper.kill()
            sleeper.wait()
            with suppress(OSError):
                trial.remove()
    return True


def find(mountinfo: str, cgroup: str) -> Hierarchy | None:
    """The hierarchy that `/proc/self/mountinfo` and `/proc/self/cgroup` describe; pure but for v2's controllers."""
    mounts = kernel.mounts(mountinfo)
    own = kernel.own_groups(cgroup)
    if "memory" in own and "memory" in mounts:
        memory = kernel.folder(mounts["memory"], own["memory"])
        cpu = kernel.folder(mounts["cpu"], own["cpu"]) if "cpu" in own and "cpu" in mounts else None
        return Hierarchy(1, memory, cpu) if memory else None
    if "" in own and "" in mounts:
        root = Path(mounts[""][1])
        folder = kernel.folder(mounts[""], own[""])
        while folder is not None and folder.is_relative_to(root):
            with suppress(FileNotFoundError):
                controllers = (folder / "cgroup.subtree_control").read_text().split()
                if "memory" in controllers:
                    return Hierarchy(2, folder, folder if "cpu" in controllers else None)
            folder = folder.parent
    return None


def _write_if_there(file: Path, text: str) -> None:
    if file.exists():
        file.write_text(text)
