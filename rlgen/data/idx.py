"""IDX files, the format of MNIST: found on this machine or downloaded, and refused unless every byte is right.

The format: http://yann.lecun.com/exdb/mnist. A file is two zero bytes, 8 for uint8, the number
of axes, their lengths as big-endian int32, then the values.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlgen.core.errors import DataError, StorageError
from rlgen.core.files import UNUSABLE, Refused
from rlgen.data.own_files import read_bytes

if TYPE_CHECKING:
    import numpy as np

TIMEOUT = (5.0, 20.0)  # seconds to connect, and between two pieces of a response
ROOM = 1 << 18  # bytes that a gzip file may be larger than its content
LOCK_TIMEOUT = 600.0  # seconds to wait for another process that downloads the same file


class Missing(DataError):
    """A file is not on this machine and cannot be downloaded."""


@dataclass(frozen=True)
class File:
    """One IDX file, gzipped or not, with its shape and digest."""

    name: str
    shape: tuple[int, ...]
    sha256: str  # of the decoded bytes; a gzip header may differ from mirror to mirror

    def check(self, path: Path) -> None:
        """Raise DataError unless every byte of `path` is right."""
        read(path, self)


@dataclass(frozen=True)
class Source:
    """The files of a dataset and their locations."""

    folder: str  # within a data folder, as in torchvision
    mirrors: tuple[str, ...]  # URLs of the folders to download from
    files: Mapping[str, tuple[File, ...]]  # images and labels of each split


def locate(source: Source, file: File, data: str | Path | None = None) -> Path:
    """The path of `file`, downloaded if missing. With `data`, only that folder is searched."""
    path = find(source, file, data)
    if path is None and data is not None:
        raise DataError(
            f"{data} holds no {source.folder}/raw/{file.name}(.gz): put it there, or leave --data out to download it"
        )
    return path or _download(source, file)


def find(source: Source, file: File, data: str | Path | None = None) -> Path | None:
    """The first path on this machine with the name of `file`, its content unchecked; None without one."""
    for folder in _folders(source, data):
        for path in (folder / file.name, folder / f"{file.name}.gz"):
            if path.is_file():
                return path
    return None


def read(path: Path, file: File) -> np.ndarray:
    """The values of an IDX file, plain or gzipped, of `file.shape`. Raises DataError unless every byte is right."""
    import numpy as np

    header = struct.pack(f">BBBB{len(file.shape)}I", 0, 0, 8, len(file.shape), *file.shape)
    size = len(header) + math.prod(file.shape)
    try:
        content = read_bytes(path, size + ROOM)
        if content.startswith(b"\x1f\x8b"):
            content = _unpacked(content, size + 1)  # one byte more than due at most: it may unpack to gigabytes
    except Refused as error:
        raise DataError(f"{error}; it is not the true {file.name}, so delete it and try again") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({reason}): delete it and try again") from error
    wrong = (
        f"starts with {content[:4].hex()}, not with {header[:4].hex()}" if content[:4] != header[:4]
        else f"has the shape {_axes(content, len(file.shape))}, not {file.shape}" if content[: len(header)] != header
        else f"ends after {len(content)} of {size} bytes" if len(content) < size
        else f"has more than {size} bytes" if len(content) > size
        else "has another sha256" if hashlib.sha256(content).hexdigest() != file.sha256
        else ""
    )  # fmt: skip
    if wrong:
        raise DataError(f"{path} is not the true {file.name}: it {wrong}; delete it and try again")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(file.shape).copy()


def _unpacked(content: bytes, limit: int) -> bytes:
    """At most `limit` bytes of what a gzip file of a single part holds. Raises EOFError where it ends too early."""
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    unpacked = stream.decompress(content, limit)
    if len(unpacked) < limit and not stream.eof:
        raise EOFError("the file ends before its content does")
    if stream.unused_data:
        raise EOFError("the file goes on after the end of its content")
    return unpacked


def cache() -> Path:
    """The folder of downloads."""
    import pooch

    return Path(pooch.os_cache("rlgen"))


def _folders(source: Source, data: str | Path | None) -> Iterator[Path]:
    inside = Path(source.folder, "raw")
    if data is not None:
        root = Path(data).expanduser()
        yield from (root / inside, root)
        return
    if elsewhere := os.environ.get("RLGEN_DATA"):
        yield Path(elsewhere).expanduser() / inside
    yield Path("data") / inside
    yield cache() / inside


def _axes(content: bytes, axes: int) -> tuple[int, ...]:
    """The lengths of the axes in the header, as many as there are in a file cut short."""
    lengths = content[4 : 4 + 4 * axes]
    return struct.unpack(f">{len(lengths) // 4}I", lengths[: len(lengths) // 4 * 4])


def _download(source: Source, file: File) -> Path:
    """Download `file` into the cache: by one process at a time, checked, then renamed into place."""
    from filelock import FileLock, Timeout
    from pooch import HTTPDownloader

    if os.environ.get("RLGEN_OFFLINE", "0").lower() not in ("", "0", "false"):
        raise Missing(_advice(source, "RLGEN_OFFLINE is set"))
    path = cache() / source.folder / "raw" / f"{file.name}.gz"
    part, lock = path.with_suffix(".part"), path.with_suffix(".lock")
    reason = "no mirror is known"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=LOCK_TIMEOUT):
            for mirror in source.mirrors:
                if path.exists():  # downloaded by another process in the meantime
                    return path
                try:
                    fetch = HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=TIMEOUT)
                    fetch(f"{mirror}{file.name}.gz", str(part), None)
                    file.check(part)
                    part.replace(path)
                    return path
                except (OSError, DataError) as error:  # errors of requests are OSErrors
                    if isinstance(error, OSError) and error.errno in UNUSABLE:
                        raise StorageError(f"cannot store {path} ({error.strerror}): make room") from None
                    reason = _reason(mirror, error)
                finally:
                    part.unlink(missing_ok=True)
    except Timeout:
        reason = f"another process has held {lock} for {LOCK_TIMEOUT:.0f} s"
    except OSError as error:
        reason = f"{path.parent} cannot be written: {error.strerror}"
    raise Missing(_advice(source, reason))


def _advice(source: Source, reason: str) -> str:
    names = ", ".join(dict.fromkeys(f"{file.name}.gz" for files in source.files.values() for file in files))
    place = Path(os.environ.get("RLGEN_DATA", "data"), source.folder, "raw")
    return f"{source.folder} is not on this machine and cannot be downloaded ({reason}): put {names} into {place}"


def _reason(mirror: str, error: Exception) -> str:
    from requests import ConnectionError, HTTPError, Timeout

    match error:
        case Timeout():
            return f"no response from {mirror}"
        case HTTPError() if error.response is not None:
            return f"{mirror} responds with {error.response.status_code} {error.response.reason}"
        case ConnectionError():
            return f"no connection to {mirror}"
        case _:
            return f"{mirror}: {error}"
