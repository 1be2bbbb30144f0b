"""The rows of a ring buffer in files of a checkpoint, which later checkpoints share as hard links.

Segment k of a ring holds the rows from k n to (k + 1) n - 1, n being the number of rows in `SEGMENT_BYTES`. It is
written once all of its rows are there, and until then anew in each checkpoint. So every checkpoint folder is whole by
itself, and a file is gone with the last checkpoint that holds it. Where the file system has no hard links, each
checkpoint writes all rows.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rlgen.core import files
from rlgen.core.errors import CheckpointError, NotFinite
from rlgen.core.ring import Columns, Ring

SEGMENT_BYTES = 2**23  # of a segment, at most: up to so many are written again for a single new row
MARK, SUFFIX = "@", ".safetensors"  # the name of a segment is RING@FIRST-END.safetensors
THREADS = 4  # that write segments
LARGEST = 2**26  # bytes of a manifest


@dataclass(frozen=True)
class Segment:
    """A file with the rows `first` to `end` - 1."""

    name: str
    first: int
    end: int


@dataclass(frozen=True)
class Stored:
    """The rows `first` to `end` - 1 in a checkpoint, read as they are asked for."""

    folder: Path
    first: int
    end: int
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, folder: Path, described: Any) -> "Stored":
        """From what `write` returned. Raises ValueError, TypeError or KeyError for anything else."""
        first, end = described["first"], described["end"]
        found, reached = tuple(Segment(*each) for each in described["segments"]), first
        for each in found:
            if not is_segment(each.name) or Path(each.name).name != each.name or not files.is_file(folder / each.name):
                raise ValueError(f"{each.name!r} is no segment of a ring buffer in it")
            if not 0 <= each.first <= reached < each.end:
                raise ValueError(f"the segment {each.name} does not continue at row {reached}")
            reached = each.end
        if reached != end:
            raise ValueError(f"rows {reached} to {end} of a ring buffer are missing")
        return cls(folder, first, end, found)

    def pieces(self) -> Iterator[tuple[int, Columns]]:
        """The rows of each segment. Raises CheckpointError where one cannot be read."""
        for each in self.segments:
            try:
                columns = load_file(self.folder / each.name)
            except (OSError, SafetensorError) as error:
                raise CheckpointError(f"{self.folder / each.name} cannot be read: {error}") from None
            begin = max(self.first, each.first)
            yield begin, {name: x[begin - each.first : each.end - each.first] for name, x in columns.items()}


class Shared:
    """The segments of an earlier checkpoint of the same training, which a new one may link to."""

    def __init__(self, earlier: Path | None) -> None:
        self.flushed: set[str] = set()  # names of segments of the new one that are on the disk
        self._found: dict[tuple[str, int], tuple[Path, Segment, dict[str, Any]]] = {}  # by ring and last row + 1
        if earlier is None:
            return
        try:
            entries = files.json_object(earlier / "manifest.json", LARGEST)["files"]
            for name in filter(is_segment, entries):
                ring, _, rows = name.removesuffix(SUFFIX).rpartition(MARK)
                first, end = map(int, rows.split("-"))
                self._found[ring, end] = earlier / name, Segment(name, first, end), entries[name]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._found.clear()  # damaged: everything is written anew

    def link(self, folder: Path, ring: str, first: int, end: int) -> tuple[Segment, str] | None:
        """The segment up to row `end` - 1, now also in `folder`, and its digest; None where it must be written."""
        if (ring, end) not in self._found:
            return None
        path, segment, entry = self._found[ring, end]
        try:
            if segment.first > first or path.lstat().st_size != entry["size"]:
                return None
            os.link(path, folder / segment.name, follow_symlinks=False)
            self.flushed.add(segment.name)
            return segment, str(entry["sha256"])
        except (OSError, KeyError, TypeError, NotImplementedError):  # FAT has no links, ext4 at most 65,000 of a file
            return None


def write(
    folder: Path, name: str, ring: Ring, shared: Shared, digests: dict[str, str], *, durable: bool
) -> dict[str, Any]:
    """Link or write the final rows of `ring`; `digests` receives those of its files. Returns their description as JSON.

    Where `durable`, segments of which there are several are flushed to the disk while others are written, and join
    `shared.flushed`. Raises NotFinite for a new value that is not finite.
    """
    rows, found, new = max(1, SEGMENT_BYTES // max(1, ring.row_bytes)), [], []
    for begin in range(ring.first // rows * rows, ring.end, rows):
        first, end = max(begin, ring.first), min(begin + rows, ring.end)
        if linked := shared.link(folder, name, first, end):
            segment, digests[linked[0].name] = linked
        else:
            segment = Segment(f"{name}{MARK}{first}-{end}{SUFFIX}", first, end)
            new.append(segment)
        found.append([segment.name, segment.first, segment.end])
    if len(new) == 1:
        digests[new[0].name] = _write(folder / new[0].name, ring.rows(new[0].first, new[0].end), flush=False)
    elif new:
        with ThreadPoolExecutor(THREADS) as pool:  # one hashes while another writes
            paths, columns = [folder / each.name for each in new], (ring.rows(each.first, each.end) for each in new)
            digests.update(zip((p.name for p in paths), pool.map(_write, paths, columns, repeat(durable)), strict=True))
        shared.flushed.update(path.name for path in paths if durable)
    return {"first": ring.first, "end": ring.end, "segments": found}


def is_segment(name: str) -> bool:
    """Whether a file of this name in a checkpoint holds rows of a ring."""
    return MARK in name and name.endswith(SUFFIX)


def digest(path: Path, known: dict[tuple[int, ...], str] | None = None) -> str:
    """The sha256 of a file in hexadecimal; one that `known` has by its identity is not read again, others are added."""
    with files.opened(path) as file:
        status = os.fstat(file.fileno())
        identity = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        found = known.get(identity) if known is not None else None
        if found is None:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if known is not None:
            known[identity] = found
    return found


def _write(path: Path, rows: Columns, flush: bool) -> str:
    """Write a segment, and flush it to the disk; returns its digest."""
    for name, x in rows.items():
        if x.is_floating_point() and not bool(torch.isfinite(x).all()):
            raise NotFinite(f"{name} of {path.name} holds values that are not finite, so it was not written")
    save_file({name: x.detach().cpu().contiguous() for name, x in rows.items()}, path)
    found = digest(path)
    if flush:
        files.sync(path)
    return found
