"""Files of a run: written complete or not at all, and read and extended without following a link or waiting on a pipe.

A run folder may come from anybody. So a file in it is opened without following a link, must be a regular file, and is
read up to a limit; JSON is parsed with bounds on its depth, its length and its numbers.
"""

import errno
import json
import math
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn, TextIO

from rlgen.core.errors import StorageError, UserError

PARTIAL = ".partial-"  # prefix of unfinished files and folders, which a killed process leaves behind
UNUSABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.ENODEV, errno.ESTALE)  # of a disk
BYTES = 1 << 22  # of a file that is read as a whole, by default
VALUES = 1_500_000  # in a JSON document, at most: a value takes some 80 bytes of memory
DEPTH = 64  # of nested JSON, at most
DIGITS = 100  # of an integer in JSON, at most; the state of a random generator has 39
THREADS = 16  # that flush files at the same time
LEVELS, ENTRIES = 3, 200_000  # of a run folder that are searched for links, at most


class Refused(UserError, OSError):
    """A file that is a link, no regular file, or too large, or JSON beyond the bounds: it is not read."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.strerror = message  # what is shown of an OSError


def opened(path: Path) -> BufferedReader:
    """The regular file `path`, opened for reading. Raises OSError without one, Refused for a link, pipe or device."""
    return os.fdopen(_descriptor(path, os.O_RDONLY), "rb")


def append(path: Path) -> TextIO:
    """The regular file `path`, opened for appending text, made where it is missing.

    Raises Refused for a link, pipe or device, and for a file that has a second name (a hard link); OSError where it
    cannot be written.
    """
    descriptor = _descriptor(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise Refused(f"{path} has a second name elsewhere (a hard link): replace it by a copy of itself")
    return os.fdopen(descriptor, "a", encoding="utf-8")


def read_bytes(path: Path, limit: int = BYTES) -> bytes:
    """The content of the regular file `path`. Raises OSError without one, Refused for more than `limit` bytes."""
    with opened(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > limit:
            raise Refused(f"{path} has {size:,} bytes, more than the {limit:,} that are read")
        content = file.read(limit + 1)  # it may have grown since
    if len(content) > limit:
        raise Refused(f"{path} has more than the {limit:,} bytes that are read")
    return content


def read_text(path: Path, limit: int = BYTES, errors: str = "strict") -> str:
    """The content of `path` as UTF-8. Raises like `read_bytes`, and UnicodeDecodeError unless `errors` is `replace`."""
    return read_bytes(path, limit).decode("utf-8", errors)


def json_object(path: Path, limit: int = BYTES, *, finite: bool = True) -> dict[str, Any]:
    """The object in the JSON file `path`. Raises OSError without the file, Refused for anything but such an object.

    NaN and infinite numbers are refused where `finite`, else they are None.
    """
    try:
        value = parse(read_bytes(path, limit), finite=finite)
    except Refused:
        raise
    except ValueError as error:
        raise Refused(f"{path} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refused(f"{path} holds no JSON object")
    return value


def parse(content: bytes, *, finite: bool = True) -> Any:
    """The value of a JSON document in UTF-8, at most `DEPTH` deep, its integers of at most `DIGITS` digits.

    NaN and infinite numbers are refused where `finite`, else they are None. Raises ValueError, with the reason in one
    line.
    """
    if content.count(b",") + content.count(b"[") + content.count(b"{") > VALUES:
        raise ValueError(f"more than {VALUES:,} values")
    nonfinite = _refuse_constant if finite else _none
    try:
        real = _real if finite else _real_or_none
        value = json.loads(content.decode("utf-8"), parse_int=_integer, parse_float=real, parse_constant=nonfinite)
    except RecursionError:
        raise ValueError(f"nested more than {DEPTH} deep") from None
    if _deeper(value, DEPTH):
        raise ValueError(f"nested more than {DEPTH} deep")
    return value


def inside(directory: Path, path: Path) -> bool:
    """Whether `path`, with every link resolved, exists below the folder `directory`."""
    try:
        return path.resolve(strict=True).is_relative_to(directory.resolve(strict=True))
    except (OSError, ValueError, RuntimeError):
        return False


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file, and no link to one."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder, and no link to one."""
    return stat.S_ISDIR(_mode(path))


def folders(directory: Path) -> list[Path]:
    """The folders in `directory`, without links to folders; none where it is a link itself, or missing."""
    return sorted(path for path in directory.iterdir() if is_folder(path)) if is_folder(directory) else []


def refuse_link(folder: Path) -> Path:
    """`folder`, to be written to. Raises Refused for a link to a folder elsewhere."""
    if folder.is_symlink():
        raise Refused(
            f"{folder} is a link: nothing is written through it; remove it, or choose another folder with --out"
        )
    return folder


def refuse_links(directory: Path) -> None:
    """Raise Refused where the run folder `directory` holds anything but files and folders: links, pipes, devices.

    What is written to a run would follow a link to another place.
    """
    waiting, left = [(directory, 1)], ENTRIES
    while waiting:
        folder, level = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                left -= 1
                if entry.is_dir(follow_symlinks=False):
                    if level < LEVELS and left > 0:
                        waiting.append((Path(entry.path), level + 1))
                elif not entry.is_file(follow_symlinks=False):
                    what = "a link" if entry.is_symlink() else "no regular file"
                    raise Refused(
                        f"{entry.path} is {what}: nothing outside a run folder is read or written; remove it, or put"
                        " the file itself in its place"
                    )


def sync(path: Path) -> None:
    """Flush a file or folder to the disk (fsync)."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders, and flushes them itself
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(paths: Iterable[Path]) -> None:
    """Flush files and folders to the disk at the same time: the file system writes them by one or two commits."""
    from concurrent.futures import ThreadPoolExecutor  # late, for the start-up time of `rlgen runs`

    waiting = list(paths)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(sync, waiting):
            pass


def remove_folder(folder: Path) -> None:
    """Delete a folder whole: under a temporary name, which a killed process leaves behind. Raises OSError."""
    removed = folder.with_name(f"{PARTIAL}{os.getpid()}-{folder.name}")
    folder.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)
    if removed.exists():  # a second attempt: it cannot be renamed back, for it is no longer whole
        shutil.rmtree(removed)


@contextmanager
def replacing(path: Path, parents: bool = True) -> Iterator[Path]:
    """A temporary path to write to, renamed to `path` at the end: readers find the old file or the new one, complete.

    With `parents` missing folders are made. Raises StorageError where the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    try:
        if parents and not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # a folder of others may have a link of this name
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


@contextmanager
def storing(action: str) -> Iterator[None]:
    """StorageError, that one cannot do `action`, in place of an OSError within."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise StorageError(f"cannot {action} ({error.strerror or error}{where}): its disk must be writable") from error


def _descriptor(path: Path, flags: int) -> int:
    """A descriptor of a regular file. Raises Refused for anything else, without waiting for the other end of a pipe."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):  # those of this system
        flags |= getattr(os, name, 0)
    if not hasattr(os, "O_NOFOLLOW") and path.is_symlink():
        raise Refused(f"{path} is a link, which is not followed: put the file itself in its place")
    try:
        descriptor = os.open(path, flags, 0o666)
    except ValueError as error:  # a null character
        raise Refused(f"{str(path)!r} cannot be opened: {error}") from None
    except OSError:
        mode = _mode(path)
        if stat.S_ISLNK(mode):
            raise Refused(f"{path} is a link, which is not followed: put the file itself in its place") from None
        if mode and not stat.S_ISREG(mode):
            raise Refused(f"{path} is no regular file: remove it") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(f"{path} is no regular file: remove it")
    return descriptor


def _mode(path: Path) -> int:
    """Type and permissions of the file or link `path`; 0 without one."""
    try:
        return path.lstat().st_mode
    except (OSError, ValueError):
        return 0


def _deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects are nested more than `depth` deep."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        if not level:
            return False
        parts = (part for outer in level for part in (outer.values() if isinstance(outer, dict) else outer))
        level = [part for part in parts if isinstance(part, dict | list)]
    return bool(level)


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"an integer of {len(digits):,} digits")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]} is not finite")
    return value


def _real_or_none(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name} is not finite")


def _none(name: str) -> None:
    return None
