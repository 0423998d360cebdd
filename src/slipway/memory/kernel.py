"""What the Linux kernel counts of the memory of a control group (v1 and v2). Reads, and changes nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """The memory of one control group."""

    version: int
    folder: Path

    def kills(self) -> int:
        """How many of the group's processes the kernel killed for want of memory; 0 when the group is gone."""
        text = self._read("memory.events" if self.version == 2 else "memory.oom_control")
        lines = (text or "").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def peak(self) -> int | None:
        """The most that the group ever used, in bytes; None where the kernel does not say."""
        text = self._read("memory.peak" if self.version == 2 else "memory.max_usage_in_bytes")
        return None if text is None else int(text)

    def _read(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text()
        except OSError:
            return None


def own() -> Account | None:
    """The account of this process's own group; None where there is none to read."""
    if sys.platform != "linux":
        return None
    try:
        return find(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    except OSError:
        return None


def find(mountinfo: str, cgroup: str) -> Account | None:
    """The account that `/proc/self/mountinfo` and `/proc/self/cgroup` lead to."""
    mounted, groups = mounts(mountinfo), own_groups(cgroup)
    for controller, version in (("memory", 1), ("", 2)):
        if controller in mounted and controller in groups:
            place = folder(mounted[controller], groups[controller])
            return None if place is None else Account(version, place)
    return None


def mounts(mountinfo: str) -> dict[str, tuple[str, str]]:
    """Controller → (root inside the hierarchy, mount point); v2 is the controller without a name."""
    found = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        root, point = left.split(" ")[3:5]
        if kind == "cgroup2":
            found[""] = (root, point)
        elif kind == "cgroup":
            found.update(dict.fromkeys(options.split(","), (root, point)))
    return found


def own_groups(cgroup: str) -> dict[str, str]:
    """Controller → our own group's path in its hierarchy."""
    own = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    return own


def folder(mount: tuple[str, str], path: str) -> Path | None:
    """Where a group is to be found below its hierarchy's mount point; None when the mount does not show it."""
    root, point = mount
    if root != "/" and not Path(path).is_relative_to(root):
        return None
    return Path(point) / Path(path).relative_to(root)
