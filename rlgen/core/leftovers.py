"""What a resumed run deletes: what was written after its checkpoint, and what a killed process left unfinished.

Nothing else is deleted: no link is followed, and of names like those of a run only those that it gives.
"""

import re
from collections.abc import Container, Iterator
from pathlib import Path

from rlgen.core.files import PARTIAL, folders, is_file, is_folder, remove_folder

UNFINISHED = re.compile(re.escape(PARTIAL) + r"\d+-.")  # with the number of the process


def dated(time: int) -> str:
    """The name of a checkpoint and of a picture at a time."""
    return f"{time:09d}"


def time_of(name: str) -> int | None:
    """The time of which `name` is the `dated` name; None for any other."""
    return int(name) if name.isascii() and name.isdecimal() and dated(int(name[:18])) == name else None


def delete(directory: Path, after: int, grids: Container[str] | None) -> None:
    """Delete checkpoints and pictures later than the time `after`, and unfinished files, in the folder of a run.

    `grids` names the folders of its pictures; None for a run that did not record them, where all folders count.
    """
    parts = folders(directory)
    for path in (path for folder in (directory, *parts) for path in folder.iterdir()):
        if UNFINISHED.match(path.name):
            _delete(path)
    for path in folders(directory / "checkpoints"):
        if (time := time_of(path.name)) is not None and time > after:
            _delete(path)
    for path in _pictures(part for part in parts if grids is None or part.name in grids):
        if (time := time_of(path.stem)) is not None and time > after:
            _delete(path)


def _pictures(parts: Iterator[Path]) -> Iterator[Path]:
    for part in parts:
        yield from (path for path in part.glob("*.png") if is_file(path))


def _delete(path: Path) -> None:
    if is_folder(path):
        remove_folder(path)
    elif is_file(path):
        path.unlink(missing_ok=True)
