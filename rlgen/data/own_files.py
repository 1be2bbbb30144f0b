"""Files of one's own data, opened through links: a dataset of links to files elsewhere is usual, a pipe is not."""

import errno
import os
from pathlib import Path
from typing import BinaryIO

from rlgen.core import files


def opened(path: Path) -> BinaryIO:
    """The regular file `path`, or that at the end of a link, opened for reading. Raises OSError for anything else."""
    return files.opened(_target(path))


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of the regular file `path`, or of that at the end of a link. Raises OSError beyond `limit` bytes."""
    return files.read_bytes(_target(path), limit)


def _target(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except RuntimeError:  # of Python 3.11 and 3.12
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None
