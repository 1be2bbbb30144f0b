"""Inventory of a run folder, files.json: a copy of run.json and, once a training has ended, its files with digests."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlgen.core import files, seal
from rlgen.core.errors import CheckpointError
from rlgen.core.leftovers import time_of

FILE = "files.json"
LOG = "log.txt"  # grows with every resume
DAMAGED = "*.damaged"
SINGLE = ("*.png", "evolution.gif", "report.json", LOG, DAMAGED, "diverged/*")  # files of a run other than its logs
KEPT = ("checkpoints", "portraits")  # with checksums of their own
LARGEST = 2**28  # bytes of a file with a digest

Entry = dict[str, Any]


def write(directory: Path, info: Mapping[str, Any], found: Mapping[str, Entry] | None = None) -> None:
    """Write a copy of the run.json `info`, and the files of the run where they are `found`. Raises StorageError."""
    with files.replacing(directory / FILE, parents=False) as partial:
        partial.write_bytes(seal.dump({"description": info, "files": found}))


def read(directory: Path) -> tuple[dict[str, Any], dict[str, Entry] | None]:
    """The copy of run.json, and size and digest of each file by its path in the folder; None for a run that was killed.

    Raises FileNotFoundError without an inventory, CheckpointError for a damaged one.
    """
    path = directory / FILE
    try:
        content = files.read_bytes(path)
        saved = files.parse(content, finite=False)
        if not seal.is_intact(content):
            raise CheckpointError(f"{path} was changed after it was written")
        return dict(saved["description"]), None if saved["files"] is None else dict(saved["files"])
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def find(directory: Path) -> dict[str, Entry]:
    """The pictures, the report, log.txt and the names of checkpoints and portraits in the folder of a run.

    Only files are found that the training writes; those that other commands write over are in it where they are
    pictures, whose content is checked by itself.
    """
    found = {path.relative_to(directory).as_posix(): _entry(path) for path in paths(directory)}
    for kept in KEPT:
        for folder in files.folders(directory / kept):
            if time_of(folder.name) is not None:
                found[f"{kept}/{folder.name}"] = {}
    return dict(sorted(found.items()))


def paths(directory: Path) -> Iterator[Path]:
    """The files of a run other than run.json, its logs, checkpoints and portraits."""
    for pattern in SINGLE:
        yield from (path for path in directory.glob(pattern) if files.is_file(path) and path.name[0] != ".")
    for folder in files.folders(directory):
        if folder.name not in KEPT and folder.name[0] != ".":
            yield from (path for path in folder.glob("*.png") if time_of(path.stem) is not None and files.is_file(path))


def digest(content: bytes) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(content).hexdigest()


def _entry(path: Path) -> Entry:
    content = files.read_bytes(path, LARGEST)
    return {"size": len(content), "sha256": digest(content)}
