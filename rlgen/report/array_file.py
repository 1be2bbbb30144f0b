"""A NumPy file that is written part by part, so that memory holds one part of it at a time.

Written, not mapped into memory: where a page of a mapped file finds no room on the disk, the system ends the process.
"""

import errno
import math
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

UNKNOWN = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)  # of file systems that cannot reserve room


class ArrayFile:
    """An array of `count` rows of float32 in the file `path`. Every method raises OSError where the disk is full."""

    def __init__(self, path: Path, count: int) -> None:
        self.count = count
        self.file = path.open("wb")
        self.begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def append(self, part: NDArray[np.float32]) -> None:
        """Write further rows. The room for all is reserved before the first, so that a full disk is known at once."""
        if not self.begun:
            self._begin(part)
        self.file.write(np.ascontiguousarray(part, "<f4").data)

    def _begin(self, part: NDArray[np.float32]) -> None:
        shape = (self.count, *part.shape[1:])
        np.lib.format.write_array_header_1_0(self.file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        self.file.flush()
        size = part.itemsize * math.prod(shape)
        if size and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self.file.fileno(), self.file.tell(), size)
            except OSError as error:
                if error.errno not in UNKNOWN:
                    raise
        self.begun = True
