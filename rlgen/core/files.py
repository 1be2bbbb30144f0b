"""Atomic writes: a file is complete or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rlgen.core.errors import StorageError

PARTIAL = ".partial-"  # prefix of unfinished files and folders, which a killed process leaves behind


def sync(path: Path) -> None:
    """Flush a file or folder to the disk (fsync)."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders, and flushes them itself
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, renamed to `path` at the end: readers find the old file or the new one, complete.

    Raises StorageError where the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        sync(partial)
        partial.replace(path)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; make room or choose another folder"
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
