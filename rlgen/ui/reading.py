"""Files in a folder of runs, opened for reading without following a link out of that folder."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rlgen.core import studies
from rlgen.core.errors import UserError

JSON_BYTES = 2**20  # of a JSON file other than a log, at most
DEPTH = 4  # folders between the folder of runs and a run, at most
FOLDERS = 20_000  # that are searched for runs, at most


Stamp = tuple[int, ...]


class Missing(UserError):
    """A run or a file of a run that does not exist, or that is not a file within the folder of runs."""


def find(root: Path, name: str) -> Path:
    """The folder of the run `name`, a path below the resolved folder `root`. Raises Missing.

    Only plain names of folders are accepted: no absolute path, no `..`, no link out of `root`.
    """
    parts = name.split("/")
    if len(parts) > DEPTH or any(not _plain(part) for part in parts):
        raise Missing(f"no run {name!r} here")
    directory = root.joinpath(*parts)
    if not inside(root, directory) or not (directory / "run.json").is_file():
        if inside(root, directory) and studies.is_study(directory):
            raise Missing(f"{name!r} is a study: its runs are in the list, `rlgen sweep show {name}` has the report")
        raise Missing(f"no run {name!r} here: it may have been removed")
    return directory


def inside(root: Path, path: Path) -> bool:
    """Whether `path`, with every link resolved, exists below the resolved folder `root`."""
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, ValueError, RuntimeError):
        return False


def open_file(root: Path, path: Path) -> BinaryIO:
    """The regular file `path` below the resolved folder `root`. Raises Missing for a link, a pipe or a device."""
    if not inside(root, path.parent):
        raise Missing(f"{path.name} is not in the folder of runs")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError):
        raise Missing(f"{path.name} cannot be read: it is missing, or a link") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Missing(f"{path.name} is not a file")
    return os.fdopen(descriptor, "rb")


def read_json(root: Path, path: Path) -> dict[str, Any]:
    """The object in a JSON file of at most `JSON_BYTES`. Raises Missing without one."""
    with open_file(root, path) as file:
        content = file.read(JSON_BYTES + 1)
    if len(content) > JSON_BYTES:
        raise Missing(f"{path.name} is larger than {JSON_BYTES:,} bytes")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise Missing(f"{path.name} is not valid JSON") from None
    if not isinstance(value, dict):
        raise Missing(f"{path.name} holds no JSON object")
    return value


def runs(root: Path) -> Iterator[tuple[str, Stamp]]:
    """Name and stamp of every run below the resolved folder `root`; links and hidden folders are left out."""
    waiting, left = [("", str(root))], FOLDERS
    while waiting:
        prefix, folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = [e for e in entries if _plain(e.name) and e.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        for entry in found:
            left -= 1
            if left < 0:
                return
            found_stamp = stamp(entry.path)
            if found_stamp is not None:
                yield f"{prefix}{entry.name}", found_stamp
            elif prefix.count("/") + 1 < DEPTH and not os.path.lexists(f"{entry.path}/run.json"):
                waiting.append((f"{prefix}{entry.name}/", entry.path))


def stamp(directory: str) -> Stamp | None:
    """What changes when run.json of a run or the files beside it are replaced; None without a run."""
    try:
        state = os.stat(f"{directory}/run.json", follow_symlinks=False)  # noqa: PTH116 # of a thousand runs each second
        return (
            (state.st_mtime_ns, state.st_ino, os.stat(directory).st_mtime_ns)  # noqa: PTH116
            if stat.S_ISREG(state.st_mode)
            else None
        )
    except OSError:
        return None


def _plain(name: str) -> bool:
    """Whether this is the name of a visible file or folder, and no path."""
    return bool(name) and not name.startswith(".") and not set(name) & {"/", "\\", "\0"} and name.isprintable()
