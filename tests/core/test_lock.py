"""The lock of a run on a disk that is read-only, or in a folder of somebody else."""

import errno
import os

import pytest
from filelock import UnixFileLock

from rlgen.core import lock
from rlgen.core.errors import StorageError


@pytest.fixture
def unwritable(monkeypatch):
    """Files cannot be opened for writing."""
    plain = os.open

    def refuse(path, flags, *args, **options):
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return plain(path, flags, *args, **options)

    return lambda: monkeypatch.setattr(os, "open", refuse)


def test_a_lock_on_a_read_only_disk_is_free_unless_it_is_held(tmp_path, unwritable):
    pytest.importorskip("fcntl")
    (tmp_path / "run.json").touch()
    held = lock.acquire(tmp_path)
    assert isinstance(held, UnixFileLock)
    unwritable()
    assert lock.held(tmp_path)
    held.release()
    if (tmp_path / lock.FILE).exists():  # some versions of filelock remove it
        assert not lock.held(tmp_path)
    (tmp_path / lock.FILE).unlink(missing_ok=True)
    assert not lock.held(tmp_path)


def test_a_lock_that_cannot_be_read_counts_as_held(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / lock.FILE).touch()
    monkeypatch.setattr(os, "open", refuse)
    assert lock.held(tmp_path)


def test_a_folder_that_was_removed_is_not_made_by_its_lock(tmp_path):
    with pytest.raises(StorageError, match="gone is not there any more"):
        lock.acquire(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notes.txt").touch()
    with pytest.raises(StorageError, match=r"has no run\.json"):
        lock.acquire(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
