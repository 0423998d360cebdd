"""Where the kernel keeps a group's account, and what stands in it."""

from pathlib import Path

import pytest

from slipway.memory import kernel
from slipway.memory.kernel import Account

V1 = "30 25 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup ro,memory\n"
V2 = "30 25 0:27 / /sys/fs/cgroup ro - cgroup2 cgroup ro\n"


@pytest.mark.parametrize(
    ("mounts", "groups", "expected"),
    [
        (V1, "4:memory:/docker/abc\n", Account(1, Path("/sys/fs/cgroup/memory"))),
        (V2, "0::/\n", Account(2, Path("/sys/fs/cgroup"))),
        (V2, "0::/slipway/one\n", Account(2, Path("/sys/fs/cgroup/slipway/one"))),
        # A hybrid machine: memory is v1's.
        (V1 + V2, "4:memory:/docker/abc\n0::/\n", Account(1, Path("/sys/fs/cgroup/memory"))),
        (V1, "4:memory:/elsewhere\n", None),
        ("", "", None),
    ],
)
def test_the_account_of_a_process(mounts: str, groups: str, expected: Account | None) -> None:
    assert kernel.find(mounts, groups) == expected


@pytest.mark.parametrize(
    ("version", "events", "peak"),
    [(1, "memory.oom_control", "memory.max_usage_in_bytes"), (2, "memory.events", "memory.peak")],
)
def test_what_stands_in_it(tmp_path: Path, version: int, events: str, peak: str) -> None:
    account = Account(version, tmp_path)
    assert (account.kills(), account.peak()) == (0, None)
    (tmp_path / events).write_text("under_oom 0\noom_kill 2\n")
    (tmp_path / peak).write_text("1073741824\n")
    assert (account.kills(), account.peak()) == (2, 2**30)


@pytest.mark.skipif(not Path("/sys/fs/cgroup").is_dir(), reason="no cgroups here")
def test_this_process_has_one() -> None:
    account = kernel.own()
    assert account is None or account.folder.is_dir()
