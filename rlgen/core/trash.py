"""The trash folder of a folder of runs: runs are moved there and back by one rename, and nothing is deleted."""

import re
from pathlib import Path

from filelock import FileLock, Timeout

from rlgen.core import lock, studies
from rlgen.core.errors import StorageError, UserError, did_you_mean
from rlgen.core.folder import TRASH, Folder


def contents(runs: Path) -> list[str]:
    """Names in the trash folder of `runs`, sorted."""
    trash = runs / TRASH
    return sorted(path.name for path in trash.iterdir() if path.is_dir()) if trash.is_dir() else []


def remove(folders: list[Folder]) -> list[Path]:
    """Move runs and studies into the trash folder beside them; returns their new paths.

    Raises UserError, before any is moved, where one is being trained, or a run of a study.
    """
    for folder in folders:
        for run in (folder, *(Folder(path) for path in Folder.directories(folder.directory))):
            if run.locked():
                name = studies.title(run.directory)
                raise UserError(f"{name} is being trained by process {run.info.get('pid')}: stop it first")
    return [_remove(folder) for folder in folders]


def restore(runs: Path, name: str) -> Path:
    """Move `name` from the trash folder back into `runs`; returns its path. Raises UserError where it cannot be."""
    if name not in contents(runs):
        hint = did_you_mean(name, contents(runs)) or ": `rlgen rm --restore` lists what is there"
        raise UserError(f"no {name!r} in {runs / TRASH}{hint}")
    target = runs / re.sub(r"~\d+$", "", name)
    if target.exists():
        raise UserError(f"{target} exists: rename one of the two folders, then restore {name}")
    _rename(runs / TRASH / name, target)
    return target


def _remove(folder: Folder) -> Path:
    directory = folder.directory.parent.resolve() / folder.directory.name  # a link is moved, not what it points to
    if directory.name in ("", ".."):  # `.` and `..` name folders, not links
        directory = folder.directory.resolve()
    trash = directory.parent / TRASH
    if trash.is_symlink():
        raise UserError(f"{trash} is a link: no run is moved through it; remove the link first")
    number, target = 1, trash / directory.name
    while target.exists():  # a run of the same name was removed before
        number += 1
        target = trash / f"{directory.name}~{number}"
    try:
        held = studies.LOCK if studies.is_study(directory) else lock.FILE
        with FileLock(directory / held, timeout=1):  # no training starts meanwhile
            trash.mkdir(exist_ok=True)
            _rename(directory, target)
    except Timeout:
        raise UserError(f"{folder.name} is being trained: stop it first") from None
    except OSError as error:
        raise StorageError(f"cannot move {directory} to {trash}: {error.strerror}") from None
    return target


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        raise StorageError(f"cannot move {source} to {target}: {error.strerror}") from None
