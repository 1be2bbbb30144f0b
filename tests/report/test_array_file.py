"""A NumPy file in parts."""

import errno
import os
import resource

import numpy as np
import pytest

from rlgen.report.array_file import ArrayFile


def write(path, rows, *parts):
    with ArrayFile(path, rows) as file:
        for part in parts:
            file.append(part)


def test_the_parts_are_one_array(tmp_path):
    images = np.random.default_rng(0).random((7, 2, 3, 4), np.float32)
    write(tmp_path / "a.npy", 7, images[:3], images[3:6], images[6:])
    assert np.array_equal(np.load(tmp_path / "a.npy"), images)
    np.save(tmp_path / "b.npy", images)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_other_orders_of_memory_and_bytes(tmp_path):
    images = np.random.default_rng(0).random((4, 2, 3), np.float32)
    write(tmp_path / "a.npy", 8, images.transpose(0, 2, 1), images.transpose(0, 2, 1).astype(">f4"))
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.concatenate([images.transpose(0, 2, 1)] * 2))


@pytest.fixture
def small_files():
    """Files end after 10,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_known_before_the_second_part(tmp_path, small_files):
    with pytest.raises(OSError, match="File too large"), ArrayFile(tmp_path / "a.npy", 1_000) as file:  # noqa: PT012
        file.append(np.zeros((1, 25), np.float32))
        pytest.fail("the room for all rows was not reserved")


@pytest.mark.parametrize("reason", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_that_reserves_no_room(tmp_path, monkeypatch, small_files, reason):
    def refuse(*args):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    write(tmp_path / "small.npy", 3, np.ones((3, 25), np.float32))
    assert np.load(tmp_path / "small.npy").sum() == 75
    with pytest.raises(OSError, match="File too large"):
        write(tmp_path / "large.npy", 1_000, *[np.zeros((100, 25), np.float32)] * 10)
