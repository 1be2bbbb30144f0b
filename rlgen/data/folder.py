"""A folder of png and jpg files as a dataset: read, labelled by class folders, split by name, and fingerprinted.

Whether an image is for training or for the test follows from a hash of its path within the folder, so further images
leave the split of the others as it is. Files are decoded as PNG or JPEG and as nothing else, whatever their names say.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import unicodedata
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rlgen.core.errors import DataError
from rlgen.data.own_files import read_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

SUFFIXES = (".png", ".jpg", ".jpeg")
FORMATS = ("PNG", "JPEG")  # all that is decoded: Pillow would start Ghostscript for PostScript
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # the tag of EXIF, and its values for an image on its side
MAX_SIDE = 512  # pixels along each side of an image that is read without --size
MAX_BYTES = 200_000_000  # of a file
MAX_PIXELS = 24_000_000  # decoded at full size, at most: 190 MB in colours with transparency
TEST_SHARE = 1 / 6  # of the images of each class, in expectation
log = logging.getLogger("rlgen")


@dataclass(frozen=True)
class Pictures:
    """All images of a folder, ordered by the hash of their paths: the classes are mixed."""

    images: NDArray[np.uint8]  # (N, H, W, C)
    labels: list[int] | None  # (N,) an index into `classes`
    classes: tuple[str, ...]  # names of the class folders, sorted; none where the images lie in the folder itself
    test: list[bool]  # (N,) whether the image is for the test
    digest: str  # sha256 of the paths and contents of all files


class Unreadable(DataError):
    """One file is not an image that can be read."""


def read(root: Path, size: int | None = None, skip_bad: bool = False) -> Pictures:
    """The images of a folder, cropped square and scaled to `size` x `size` pixels if given.

    Raises DataError where a file cannot be read (unless `skip_bad`: it is left out with a warning), where images
    differ in size and none is given, and where the folder is no dataset.
    """
    import numpy as np

    images, digest, paths = _images(root, files(root), size, skip_bad)
    if len(paths) < 2:
        raise DataError(f"{root} holds {len(paths)} readable png or jpg files: a dataset needs at least 2, add some")
    names = [_name(path, root) for path in paths]
    folders = [name.split("/")[0] if "/" in name else "" for name in names]
    classes = tuple(sorted(set(folders)))
    if "" in classes and len(classes) > 1:
        stray = paths[folders.index("")].name
        raise DataError(f"{root} has class folders and, beside them, {stray}: move it into a class folder")
    if empty := _empty(root, set(folders)):
        raise DataError(f"{empty} is a class without readable png or jpg files: add images or remove the folder")
    test = split(names, folders)
    channels = max(image.shape[2] for image in images)  # one coloured image makes all coloured
    stack = np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in images])
    order = sorted(range(len(names)), key=lambda i: _hash(names[i]))
    return Pictures(
        stack[order],
        None if classes == ("",) else [classes.index(folders[i]) for i in order],
        () if classes == ("",) else classes,
        [names[i] in test for i in order],
        digest,
    )


def files(root: Path) -> list[Path]:
    """The png and jpg files in a folder and the folders within, sorted, without those that are hidden.

    A link to a file counts as that file. Raises DataError for a link to a folder, which might lead anywhere or around
    in circles, and for a folder that cannot be listed.
    """
    found, waiting = [], [root]
    while waiting:
        try:
            with os.scandir(folder := waiting.pop()) as entries:
                shown = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            raise DataError(f"{folder} cannot be listed: {error.strerror or error}") from None
        for entry in shown:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif path.is_dir():
                raise DataError(f"{path} is a link to a folder, which is not followed: copy the folder to its place")
            elif path.suffix.lower() in SUFFIXES:
                found.append(path)
    return sorted(found)


def bytes_of(path: Path) -> bytes:
    """The bytes of a file, or of the file that a link leads to. Raises Unreadable, with the reason, without one."""
    try:
        return read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


def split(names: list[str], classes: list[str]) -> set[str]:
    """The names of the test images: those with a hash below `TEST_SHARE`.

    In a class so small that one split would be empty, the lowest hash is for the test, or the highest for training.
    """
    test: set[str] = set()
    for name in set(classes):
        members = sorted((n for n, c in zip(names, classes, strict=True) if c == name), key=_hash)
        test |= {n for i, n in enumerate(members[:-1]) if i == 0 or _hash(n) < TEST_SHARE}
    return test or {min(names, key=_hash)}  # classes of one image each


def _images(
    root: Path, paths: list[Path], size: int | None, skip_bad: bool
) -> tuple[list[NDArray[np.uint8]], str, list[Path]]:
    """(H, W, 1 or 3) of each file, all of one size; the digest of all files; and the files that could be read."""
    images, readable, bad, sizes, digest = [], [], [], set(), hashlib.sha256()
    for path in paths:
        try:
            read = bytes_of(path)
            digest.update(f"{_name(path, root)}\n{hashlib.sha256(read).hexdigest()}\n".encode())
            image, found = decode(read, path, size)
        except Unreadable as error:
            bad.append((path, str(error)))
            continue
        images.append(image)
        readable.append(path)
        sizes.add(found)
    if bad:
        many = f", and {len(bad) - 1} more of {len(paths)} files" if len(bad) > 1 else f", one of {len(paths)} files"
        names = f"{bad[0][0]} cannot be read as an image ({bad[0][1]}){many}"
        if not skip_bad:
            raise DataError(f"{names}: repair or remove what is broken, or leave it out with --skip-bad")
        _warn_once(f"{names}; left out: {', '.join(str(path.relative_to(root)) for path, _ in bad)}")
    if len(sizes) > 1:
        shown = ", ".join(sorted(sizes)[:4]) + (", ..." if len(sizes) > 4 else "")
        if size is None:
            raise DataError(f"{root} mixes images of {shown} pixels: choose one --size, such as --size 32")
        _warn_once(f"{root} mixes images of {shown} pixels: all are cropped square and scaled to {size}x{size}")
    return images, digest.hexdigest(), readable


def decode(content: bytes, path: Path, size: int | tuple[int, int] | None = None) -> tuple[NDArray[np.uint8], str]:
    """(H, W, 1) of a grey image, (H, W, 3) of any other, upright, cropped and scaled to `size`; its size in the file.

    `size` is the side of a square, or width and height. Raises Unreadable where the content is no image of 8 bits per
    channel, or too large to be decoded safely.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as file:
                if file.mode.startswith(("I", "F")):
                    raise Unreadable("more than 8 bits per channel: convert it to 8")
                if size is None and max(file.size) > MAX_SIDE:
                    raise DataError(f"{path} is {file.width}x{file.height} pixels: choose a --size, such as --size 32")
                (width, height), sides = file.size, (size, size) if isinstance(size, int) else size
                if width * height > MAX_PIXELS:
                    _reduce(file, sides, content)
                if file.getexif().get(ORIENTATION) in TURNED:
                    width, height = height, width
                file.load()
                ImageOps.exif_transpose(file, in_place=True)
                image: Image.Image = file
                if file.mode not in ("L", "RGB"):
                    image = file.convert("L" if file.mode in ("1", "LA") else "RGB")
                if sides is not None:
                    image = ImageOps.fit(image, sides, Image.Resampling.BICUBIC)
    except UnidentifiedImageError as error:
        raise Unreadable("neither a PNG nor a JPEG file: convert it") from error
    except DataError:
        raise
    except Exception as error:  # Pillow raises errors of many classes for damaged files
        raise Unreadable(" ".join(str(error).split()) or type(error).__name__) from error
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None], f"{width}x{height}"


def _reduce(file: ImageFile, sides: tuple[int, int] | None, content: bytes) -> None:
    """Have a large JPEG decoded at a fraction of its size, at least twice `sides`. Raises Unreadable for others."""
    if file.format != "JPEG" or sides is None or not _by_rows(content):
        raise Unreadable(
            f"{file.width * file.height:,} pixels, of which {MAX_PIXELS:,} are decoded at most,"
            " as it might be an image bomb: scale it down"
        )
    file.draft(None, (2 * max(sides), 2 * max(sides)))


def _by_rows(content: bytes) -> bool:
    """Whether the first scan of a JPEG has all its channels; one of several scans is held in memory as a whole."""
    at, channels = 2, -1
    while content[at : at + 1] == b"\xff" and at + 10 <= len(content):
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if marker == 0xDA:  # the start of a scan
            return content[at + 4] == channels
        if marker in (0xC0, 0xC1):  # a frame, neither progressive nor lossless
            channels = content[at + 9]
        at += 2 + length
    return False


def _hidden(path: Path, root: Path) -> bool:
    """Whether a file or a folder on its path begins with a dot, such as .ipynb_checkpoints."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _empty(root: Path, classes: set[str]) -> Path | None:
    """The first folder beside class folders that is none of `classes`."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not _hidden(path, root))
    return next((path for path in folders if classes != {""} and _name(path, root) not in classes), None)


def _name(path: Path, root: Path) -> str:
    """The path within the folder, the same on every system."""
    return unicodedata.normalize("NFC", path.relative_to(root).as_posix())


def _hash(name: str) -> float:
    """Uniform in [0, 1)."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


@cache
def _warn_once(message: str) -> None:
    """Each split of a folder is loaded by itself; the warning is shown for the first."""
    log.warning(message)
