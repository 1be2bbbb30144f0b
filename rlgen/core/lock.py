"""The lock of a run: held by the process that trains it. The system frees it when its holder dies, kill -9 included."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rlgen.core import files
from rlgen.core.errors import StorageError

if TYPE_CHECKING:
    from filelock import BaseFileLock

FILE = "run.lock"
SECONDS = 1.0  # of waiting for another process, which may hold it for less to see whether it is held


def held(directory: Path) -> bool:
    """Whether a process holds the lock of the run in `directory`; True where the system cannot tell. Writes nothing."""
    if not files.is_file(directory / FILE):
        return False
    try:
        import fcntl
    except ImportError:
        return _held_on_windows(directory / FILE)
    try:
        with files.opened(directory / FILE) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:  # removed in the meantime
        return False
    except OSError:
        return True
    return False


def acquire(directory: Path) -> "BaseFileLock | None":
    """The lock of the run in `directory`; None where another process holds it.

    Raises Refused for a folder with links, StorageError where the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    _require(directory)
    files.refuse_links(directory)
    lock = FileLock(directory / FILE, timeout=SECONDS)
    try:
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        raise StorageError(f"cannot lock {directory} ({error.strerror}): its disk must be writable") from None
    try:
        _require(directory)
    except StorageError:  # removed in the meantime: the lock has made the folder anew
        lock.release()
        with suppress(OSError):
            (directory / FILE).unlink(missing_ok=True)
            directory.rmdir()  # unless it holds anything
        raise
    return lock


def _require(directory: Path) -> None:
    if not files.is_file(directory / "run.json"):
        raise StorageError(f"{directory} is not there any more, or has no run.json: nothing is written to it")


def _held_on_windows(path: Path) -> bool:
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=0):
            return False
    except (Timeout, OSError):
        return True
