"""CIFAR-10 from the archive of its binary version. Krizhevsky 2009.

The format: https://www.cs.toronto.edu/~kriz/cifar.html. A record is one byte of label and 32x32 pixels: the red plane,
the green, the blue. The Python version of the archive is pickled, and nothing here is ever unpickled. The sha256 of
the whole archive is checked before it is opened as one, so that no other archive reaches the readers of gzip and tar.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rlgen.core.errors import DataError
from rlgen.data import idx
from rlgen.data.own_files import opened

if TYPE_CHECKING:
    import numpy as np

LENGTH = 1 + 3 * 32 * 32  # bytes in each record
INSIDE = "cifar-10-batches-bin"
BATCHES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Archive(idx.File):
    """The archive as downloaded, with the sha256 of the compressed file."""

    size: int = 0  # bytes of the compressed file

    def check(self, path: Path) -> None:
        """Raise DataError unless `path` is the true archive."""
        try:
            with opened(path) as file:
                self.check_content(path, file)
        except OSError as error:
            raise _unreadable(path, error) from error

    def check_content(self, path: Path, file: BinaryIO) -> None:
        """Raise DataError unless `file`, opened from `path`, is the true archive."""
        size, wrong = os.fstat(file.fileno()).st_size, ""
        if size != self.size:  # before gigabytes are read
            wrong = f"has {size:,} bytes, not {self.size:,}"
        elif _sha256(file) != self.sha256:
            wrong = "has another sha256"
        if wrong:
            raise DataError(f"{path} is not the true {self.name}.gz: it {wrong}; delete it and try again")


ARCHIVE = Archive(
    "cifar-10-binary.tar", (), "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", size=170_052_171
)


def read(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) uint8 of a split. Raises DataError unless every byte is right."""
    import numpy as np

    records = []
    try:
        with opened(path) as file:
            ARCHIVE.check_content(path, file)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                for name in BATCHES[split]:
                    member = archive.extractfile(f"{INSIDE}/{name}")
                    records.append(np.frombuffer(member.read() if member else b"", np.uint8).reshape(-1, LENGTH))
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError, zlib.error) as error:
        raise _unreadable(path, error) from error
    table = np.concatenate(records)
    return table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0]


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while part := file.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or error
    return DataError(f"{path} cannot be read as the archive of CIFAR-10 ({reason}): delete it and try again")
