"""Finding the place for groups from what the kernel says, and the files that are written there."""

from decimal import Decimal

import pytest

from slipway.launch import cgroup

V1_MOUNTS = """\
30 25 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
33 25 0:30 / / rw - ext4 /dev/vda1 rw
"""
V1_OWN = """\
4:memory:/user.slice/one
2:cpu,cpuacct:/user.slice
0::/
"""


def test_v1_makes_groups_in_our_own():
    found = cgroup.find(V1_MOUNTS, V1_OWN)
    assert found.version == 1
    assert str(found.memory) == "/sys/fs/cgroup/memory/user.slice/one"
    assert str(found.cpu) == "/sys/fs/cgroup/cpu,cpuacct/user.slice"


def test_in_a_container_with_v1_the_mount_shows_a_part_of_the_hierarchy():
    mounts = "30 25 0:27 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert str(cgroup.find(mounts, "4:memory:/docker/abc\n").memory) == "/sys/fs/cgroup/memory"
    assert cgroup.find(mounts, "4:memory:/elsewhere\n") is None


@pytest.fixture
def v2(tmp_path):
    own = tmp_path / "user.slice" / "user@1000.service" / "app.slice" / "terminal.scope"
    own.mkdir(parents=True)
    for folder in (own, *own.parents):
        if folder.is_relative_to(tmp_path):
            (folder / "cgroup.subtree_control").write_text("")
    mounts = f"30 25 0:27 / {tmp_path} rw - cgroup2 cgroup2 rw\n"
    return tmp_path, mounts, f"0::/{own.relative_to(tmp_path)}\n"


def test_v2_makes_groups_in_the_nearest_ancestor_whose_children_have_a_memory_controller(v2):
    root, mounts, own = v2
    (root / "cgroup.subtree_control").write_text("cpu memory pids")
    service = root / "user.slice" / "user@1000.service"
    (service / "cgroup.subtree_control").write_text("memory pids")
    assert cgroup.find(mounts, own) == cgroup.Hierarchy(2, service, None)
    (service / "cgroup.subtree_control").write_text("cpu memory pids")
    assert cgroup.find(mounts, own) == cgroup.Hierarchy(2, service, service)


def test_v2_without_a_memory_controller_is_no_place(v2):
    _, mounts, own = v2
    assert cgroup.find(mounts, own) is None


def test_v2_limits_memory_swap_and_cpu(tmp_path):
    made = cgroup.group(cgroup.Hierarchy(2, tmp_path, tmp_path), "one")
    made.memory.mkdir(parents=True)
    (made.memory / "memory.swap.max").write_text("max")
    made.create(2**30, Decimal("0.5"))
    assert (made.memory / "memory.max").read_text() == "1073741824"
    assert (made.memory / "memory.swap.max").read_text() == "0"
    assert (made.memory / "cpu.max").read_text() == "50000 100000"
    assert (tmp_path / "slipway" / "cgroup.subtree_control").read_text() == "+memory +cpu"
    assert made.procs == [tmp_path / "slipway" / "one" / "cgroup.procs"]


def test_v1_limits_memory_and_swap_together_and_cpu_apart(tmp_path):
    (tmp_path / "memory").mkdir()
    (tmp_path / "cpu").mkdir()
    made = cgroup.group(cgroup.Hierarchy(1, tmp_path / "memory", tmp_path / "cpu"), "one")
    made.memory.mkdir(parents=True)
    (made.memory / "memory.memsw.limit_in_bytes").write_text("")
    made.create(2**30, Decimal(2))
    assert (made.memory / "memory.limit_in_bytes").read_text() == "1073741824"
    assert (made.memory / "memory.memsw.limit_in_bytes").read_text() == "1073741824"
    assert (made.cpu / "cpu.cfs_quota_us").read_text() == "200000"
    assert len(made.procs) == 2


@pytest.mark.parametrize(("version", "name"), [(1, "memory.oom_control"), (2, "memory.events")])
def test_oom_kills_are_counted(tmp_path, version, name):
    made = cgroup.Group(version, tmp_path, None)
    assert made.account.kills() == 0
    (tmp_path / name).write_text("oom 7\noom_kill_disable 0\nunder_oom 0\noom_kill 2\noom_group_kill 0\n")
    assert made.account.kills() == 2
