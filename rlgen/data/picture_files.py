"""Picture files of one's own in the form of a dataset's images: found, decoded, cropped, scaled, grey or in colour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlgen.core.errors import DataError
from rlgen.data.folder import bytes_of, decode, files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PictureFile:
    """A file that may hold a picture."""

    path: Path
    label: str | None = None  # name of the class folder it is in


def find(paths: Iterable[Path]) -> list[PictureFile]:
    """Files as they are given, and the png and jpg files of folders, by name; those in a folder of a folder labelled.

    Raises DataError for a folder without such files.
    """
    found = []
    for path in paths:
        if path.is_dir():
            inside = files(path)
            if not inside:
                raise DataError(f"{path} holds no png or jpg files: name a file, or a folder with some")
            parts = [file.relative_to(path).parts for file in inside]
            found += [PictureFile(f, p[0] if len(p) > 1 else None) for f, p in zip(inside, parts, strict=True)]
        else:
            found.append(PictureFile(path))
    return found


def read(path: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The picture in a file as an image (C, H, W) of bytes: cropped to the proportions of `shape` and scaled.

    Raises Unreadable, with the reason, where the file is no picture or cannot be read.
    """
    import numpy as np
    from PIL import Image

    channels, height, width = shape
    pixels, _ = decode(bytes_of(path), path, (width, height))  # (H, W, 1 or 3)
    if channels == 1 and pixels.shape[2] == 3:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
    return np.broadcast_to(pixels, (height, width, channels)).transpose(2, 0, 1).copy()
