import os
from math import inf

import pytest

from rlgen.core import cores

V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1 = (
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine of 8 cores whose control groups are files in a folder."""

    def has(groups="", mounts="", threads=None, **files):
        monkeypatch.setattr(cores, "ROOT", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if threads is not None:
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
        for path, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

    return has


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"a/b": "300000 100000"}, 3),
        ({"a": "200000 100000", "a/b": "max 100000"}, 2),  # of the group above
        ({"a": "200000 100000", "a/b": "500000 100000"}, 2),
        ({"a/b": "190000 100000"}, 1),
        ({"a/b": "50000 100000"}, 1),
        ({"a/b": "max 100000"}, 8),
        ({"a/b": "9900000 100000"}, 8),
        ({"elsewhere": "100000 100000"}, 8),
    ],
)
def test_quotas_of_version_2(machine, limits, expected):
    machine("0::/a/b\n", V2, **{f"sys/fs/cgroup/{group}/cpu.max": f"{text}\n" for group, text in limits.items()})
    assert cores.available() == expected


@pytest.mark.parametrize(
    ("top", "path", "group"),
    [("/", "/a/b", "a/b"), ("/", "/a/b", "a"), ("/a/b", "/a/b", ""), ("/docker/1", "/elsewhere", "")],
)
@pytest.mark.parametrize(("quota", "expected"), [("250000", 2), ("-1", 8)])
def test_quotas_of_version_1(machine, top, path, group, quota, expected):
    """`top` is the group whose folder is mounted: in a container its own, so that its path is not below it."""
    folder = f"sys/fs/cgroup/cpu,cpuacct/{group}"
    files = {f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": "100000"}
    machine(f"9:memory:/c\n4:cpu,cpuacct:{path}\n0::/\n", V1.format(top=top), **files)
    assert cores.available() == expected


@pytest.mark.parametrize("path", ["/../..", "/../other"])
def test_a_group_outside_of_the_namespace_has_the_quota_of_its_root(machine, path):
    machine(f"0::{path}\n", V2, **{"sys/fs/cgroup/cpu.max": "400000 100000\n"})
    assert cores.available() == 4


@pytest.mark.parametrize("text", ["", "many", "max", "1 2 3"])
def test_unknown_forms_of_quotas_are_ignored(machine, text):
    machine("0::/\n", V2, **{"sys/fs/cgroup/cpu.max": text})
    assert cores.available() == 8


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert cores.quota(tmp_path) == inf


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_cores_are_those_of_the_affinity():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cores.available() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= cores.available() <= len(before)


@pytest.mark.parametrize(
    ("typed", "expected"), [(None, 8), ("3", 3), ("16", 16), ("4,2", 4), ("", 8), ("0", 8), ("-2", 8), ("many", 8)]
)
def test_threads_are_those_of_the_environment(machine, typed, expected):
    machine(threads=typed)
    assert cores.threads() == expected


@pytest.mark.parametrize(
    ("workers", "typed", "expected"),
    [(1, None, 8), (2, None, 4), (3, None, 2), (8, None, 1), (20, None, 1), (2, "3", 3), (2, "6", 4), (20, "6", 1)],
)
def test_workers_share_the_cores_equally(machine, workers, typed, expected):
    machine(threads=typed)
    assert cores.share(workers) == expected
    assert cores.environment(workers) == {**os.environ, "OMP_NUM_THREADS": str(expected)}


def test_threads_of_a_worker_are_its_share(machine, monkeypatch):
    machine()
    monkeypatch.setattr(os, "environ", cores.environment(3))
    assert cores.threads() == 2
