"""CIFAR-10 from the archive of its binary version. Krizhevsky 2009.

The format: https://www.cs.toronto.edu/~kriz/cifar.html. A record is one byte of label and 32x32 pixels: the red plane,
the green, the blue. The Python version of the archive is pickled, and nothing here is ever unpickled.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from rlgen.core.errors import DataError
from rlgen.data import idx

if TYPE_CHECKING:
    import numpy as np

RECORDS, LENGTH = 10_000, 1 + 3 * 32 * 32  # records in each file, bytes in each record
INSIDE = "cifar-10-batches-bin"
BATCHES = {  # split -> file in the archive -> sha256 of its content
    "train": {
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    },
    "test": {"test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"},
}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Archive(idx.File):
    """The archive as downloaded, with the sha256 of the compressed file."""

    def check(self, path: Path) -> None:
        """Raise DataError unless `path` is the true archive."""
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self.sha256:
                raise DataError(f"{path} is not the true {self.name}.gz: delete it and try again")


ARCHIVE = Archive("cifar-10-binary.tar", (), "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")


def read(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) uint8 of a split. Raises DataError unless every byte is right."""
    import numpy as np

    records = []
    try:
        with tarfile.open(path) as archive:
            for name, sha256 in BATCHES[split].items():
                member = archive.extractfile(f"{INSIDE}/{name}")
                # One byte more than due at most: a small archive may unpack to gigabytes.
                content = member.read(RECORDS * LENGTH + 1) if member else b""
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise DataError(f"{path} holds a wrong {name}: delete it and try again")
                records.append(np.frombuffer(content, np.uint8).reshape(-1, LENGTH))
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read as the archive of CIFAR-10 ({error}): delete it and try again"
        ) from error
    table = np.concatenate(records)
    return table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0]
