"""A small share of the campaign of failing disks, and what it would notice."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaigns import full_disk
from tests.campaigns.failing_disk import Disk

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_few_disks_fail():
    """In a process of one thread, which may be forked."""
    command = [sys.executable, "tests/campaigns/full_disk.py", "--only", "note", "--count", "4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "full_disk: 4 tries, 4 survived, 0 lost", done.stdout + done.stderr
    assert done.returncode == 0


def operations(disk, *names):
    """Whether each operation fails, by the number of its error."""
    return [error.errno if (error := disk.error(name)) else 0 for name in names]


def test_faults_of_a_disk(tmp_path):
    names = ("write", "remove", "write", "remove", "fsync")
    full, read_only, once = errno.ENOSPC, errno.EROFS, errno.EIO
    assert operations(Disk(tmp_path), *names) == [0, 0, 0, 0, 0]
    assert operations(Disk(tmp_path, "full", 2), *names) == [0, 0, full, 0, full]
    assert operations(Disk(tmp_path, "read-only", 2), *names) == [0, read_only, read_only, read_only, read_only]
    assert operations(Disk(tmp_path, "once", 2), *names) == [0, once, 0, 0, 0]
    (tmp_path / "disk/run").mkdir(parents=True)
    disk = Disk(tmp_path / "disk", "lost", 2, victim=lambda: tmp_path / "disk/run")
    assert operations(disk, "write") == [0]
    assert (tmp_path / "disk/run").exists()
    assert operations(disk, "write", "write") == [0, 0]
    assert not (tmp_path / "disk/run").exists()
    assert (tmp_path / "disk.lost/run").exists()
    assert disk.counter.value == 3


def test_only_what_lies_below_the_folder_fails(tmp_path):
    disk = Disk(tmp_path / "a")
    assert disk.holds(tmp_path / "a" / "b")
    assert disk.holds(os.fsencode(tmp_path / "a" / "b"))
    assert not disk.holds(tmp_path / "ab")
    assert not disk.holds(tmp_path / "a" / ".." / "b")


@pytest.mark.parametrize(
    ("code", "output", "found"),
    [
        (0, "fine\n", []),
        (7, "error: no room\n", []),
        (7, "no room\n", ["0 lines of error"]),
        (0, "error: no room\n", ["1 lines of error"]),
        (1, "error: no room\n", ["exit code 1"]),
        (7, "Traceback\nerror: no room\n", ["a traceback, or a fault of rlgen"]),
    ],
)
def test_the_end_of_a_command_is_judged(code, output, found):
    assert list(full_disk.ended("full", code, output)) == found


def test_what_is_left_behind_is_found(tmp_path):
    folder = tmp_path / "runs" / "x" / "checkpoints"
    folder.mkdir(parents=True)
    (folder.parent / ".partial-1-curves.png").touch()
    assert list(full_disk.left_behind(tmp_path, "full", set())) == [".partial-1-curves.png is left"]
    assert list(full_disk.left_behind(tmp_path, "read-only", set())) == []


def test_a_run_that_came_back_is_found(tmp_path):
    (tmp_path / "disk/runs/x").mkdir(parents=True)
    (tmp_path / "disk.lost/x").mkdir(parents=True)
    (tmp_path / "disk.lost/y").mkdir(parents=True)
    assert list(full_disk.left_behind(tmp_path / "disk", "lost", set())) == ["x came back"]
