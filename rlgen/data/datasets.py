"""Datasets as one tensor of bytes, by name: MNIST and its like, CIFAR-10, scikit-learn's digits, a folder of pictures.

MNIST: LeCun et al. 1998. Fashion-MNIST: Xiao et al. 2017, arXiv:1708.07747. Digits: Alpaydin & Kaynak 1998,
doi:10.24432/C50P49. Importing this file imports no torch.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rlgen.core.errors import DataError, UserError, did_you_mean
from rlgen.data import cifar, idx

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Split = Literal["train", "test"]

NAMES = {
    "mnist": "70,000 handwritten digits, 28x28 grey (12 MB to download)",
    "fashion-mnist": "70,000 pieces of clothing, 28x28 grey (31 MB to download)",
    "cifar10": "60,000 photographs of ten things, 32x32 in colour (170 MB to download)",
    "digits": "1,797 handwritten digits, 8x8 grey, bundled with scikit-learn",
    "folder:PATH": "your own png and jpg files, in PATH or in one folder per class",
}


@dataclass(frozen=True)
class Dataset:
    """Images of one split, and what they are."""

    name: str
    images: Tensor  # (N, C, H, W) uint8
    labels: Tensor | None  # (N,) int64: an index into `classes`
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


def resolve(task: str) -> str:
    """The one true name of a dataset: `Fashion_MNIST` is `fashion-mnist`; a folder's path becomes absolute."""
    kind, _, path = task.partition(":")
    if kind.lower() == "folder" and path:
        folder = Path(path).expanduser().resolve()
        if not folder.is_dir():
            raise DataError(f"{path} is not a folder")
        return f"folder:{folder}"
    plain = re.sub(r"[\s_-]", "", task.lower())
    for name in NAMES:
        if plain == name.replace("-", ""):
            return name
    raise UserError(f'no dataset "{task}"{did_you_mean(task, NAMES) or ": there are " + ", ".join(NAMES)}')


def canonical(task: str, *, data: str | None = None, fallback: bool = True) -> tuple[str, str | None]:
    """The dataset to use for `task`, its files at hand, and one line for the user where another had to stand in.

    Downloads what is missing. Where that fails, `fallback` allows the bundled digits; without it raises DataError.
    """
    task = resolve(task)
    if task not in SOURCES:
        return task, None
    source = SOURCES[task]
    try:
        for files in source.files.values():
            for file in files:
                idx.locate(source, file, data)
    except idx.Missing as error:
        if not fallback:
            raise
        return "digits", f"{error}. Taking the bundled digits instead."
    return task, None


def listing(data: str | None = None) -> Iterator[tuple[str, str, str]]:
    """Name, description and whereabouts of each dataset; looks at the disk, not at the network."""
    for name, about in NAMES.items():
        if source := SOURCES.get(name):
            paths = [idx.find(source, file, data) for files in source.files.values() for file in files]
            yield name, about, str(paths[0].parent) if paths[0] and all(paths) else "not downloaded yet"
        else:
            yield name, about, "always there" if name == "digits" else "yours"


def load(
    task: str, split: Split = "train", *, data: str | None = None, size: int | None = None, skip_bad: bool = False
) -> Dataset:
    """The images of one split of `task`, scaled to `size` x `size` pixels where that is given.

    Raises DataError where a file is missing, truncated, or not what it should be; `skip_bad` leaves out the
    pictures of a folder that cannot be read, and says which.
    """
    task = resolve(task)
    if task == "digits":
        return _digits(split, size)
    if task == "cifar10":
        return _cifar(split, data, size)
    if task in SOURCES:
        return _idx(task, split, data, size)
    return _folder(task, split, size, skip_bad)


def _idx(task: str, split: Split, data: str | None, size: int | None) -> Dataset:
    import torch

    source = SOURCES[task]
    images, labels = (torch.from_numpy(idx.read(idx.locate(source, file, data), file)) for file in source.files[split])
    return Dataset(task, _scaled(images.unsqueeze(1), size), labels.long(), CLASSES[task])


def _cifar(split: Split, data: str | None, size: int | None) -> Dataset:
    import torch

    images, labels = cifar.read(idx.locate(SOURCES["cifar10"], cifar.ARCHIVE, data), split)
    return Dataset("cifar10", _scaled(torch.from_numpy(images), size), torch.from_numpy(labels).long(), cifar.CLASSES)


def _digits(split: Split, size: int | None) -> Dataset:
    import torch
    from sklearn.datasets import load_digits

    bundle = load_digits()
    keep = _held_out(len(bundle.images), split)
    images = torch.from_numpy(bundle.images)[keep].mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(bundle.target)[keep].long()
    return Dataset("digits", _scaled(images, size), labels, CLASSES["digits"])


def _folder(task: str, split: Split, size: int | None, skip_bad: bool) -> Dataset:
    import numpy as np
    import torch

    root = Path(task.removeprefix("folder:"))
    paths = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in (".png", ".jpg", ".jpeg") and not path.name.startswith(".")
    )
    pictures, paths = _pictures(root, paths, size, skip_bad)
    if len(paths) < 2:
        raise DataError(f"{root} holds {len(paths)} png or jpg files: a dataset needs two at least")
    owners = [path.relative_to(root).parts[0] if path.parent != root else "" for path in paths]
    classes = tuple(sorted(set(owners)))
    if "" in classes and len(classes) > 1:
        stray = paths[owners.index("")].name
        raise DataError(f"{root} has class folders and, beside them, {stray}: move it into one or the folders away")
    channels = max(picture.shape[2] for picture in pictures)  # one coloured picture makes all coloured
    stack = np.stack([np.broadcast_to(picture, (*picture.shape[:2], channels)) for picture in pictures])
    keep = _held_out(len(paths), split)
    labels = None if classes == ("",) else torch.tensor([classes.index(owner) for owner in owners])[keep]
    images = torch.from_numpy(stack).permute(0, 3, 1, 2)[keep].contiguous()
    return Dataset(task, images, labels, () if labels is None else classes)


def _pictures(root: Path, paths: list[Path], size: int | None, skip_bad: bool) -> tuple[list[np.ndarray], list[Path]]:
    """(H, W, 1 or 3) of each file and the files that could be read, all of one size."""
    pictures, readable, bad, sizes = [], [], [], set()
    for path in paths:
        try:
            picture, found = _picture(path, size)
        except Unreadable as error:
            bad.append((path, str(error)))
            continue
        pictures.append(picture)
        readable.append(path)
        sizes.add(found)
    if bad:
        many = f", and {len(bad) - 1} more of {len(paths)} files" if len(bad) > 1 else f", one of {len(paths)} files"
        names = f"{bad[0][0]} cannot be read as an image ({bad[0][1]}){many}"
        if not skip_bad:
            raise DataError(f"{names}: repair or remove what is broken, or leave it out with --skip-bad")
        _say_once(f"{names}; left out: {', '.join(str(path.relative_to(root)) for path, _ in bad)}")
    if len(sizes) > 1:
        shown = ", ".join(sorted(sizes)[:4]) + (", ..." if len(sizes) > 4 else "")
        if size is None:
            raise DataError(f"{root} mixes images of {shown} pixels: give them one --size")
        _say_once(f"{root} mixes images of {shown} pixels: all are cut square and scaled to {size}x{size}")
    return pictures, readable


class Unreadable(DataError):
    """One file that is no image."""


def _picture(path: Path, size: int | None) -> tuple[np.ndarray, str]:
    """(H, W, 1) of a grey image, (H, W, 3) of any other, cut square and scaled where `size` is given; its true size."""
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                if file.mode.startswith(("I", "F")):
                    raise Unreadable("more than 8 bits per channel")
                if size is None and max(file.size) > LARGEST:
                    raise DataError(f"{path} is {file.width}x{file.height} pixels: give a --size")
                image = ImageOps.exif_transpose(file.convert("L" if file.mode in ("1", "L", "LA") else "RGB"))
    except UnidentifiedImageError as error:
        raise Unreadable("of no known format") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(" ".join(str(error).split())) from error
    found = f"{image.width}x{image.height}"
    if size is not None:
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None], found


@cache
def _say_once(message: str) -> None:
    """A warning, though each split of a folder meets its cause."""
    log.warning(message)


def _held_out(count: int, split: Split) -> Tensor:
    """Which of `count` images belong to the split, always the same: one in six is kept for the test."""
    import torch

    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    test = max(1, count // 6)
    return order[:test] if split == "test" else order[test:]


def _scaled(images: Tensor, size: int | None) -> Tensor:
    import torch.nn.functional as F

    if size is None or images.shape[-2:] == (size, size):
        return images
    scaled = F.interpolate(images.float(), size=(size, size), mode="bicubic", antialias=True)
    return scaled.round().clamp(0, 255).to(images.dtype)


log = logging.getLogger("rlgen")
LARGEST = 512  # pixels a side that are taken as they are
DIGITS = tuple("0123456789")
CLASSES = {
    "mnist": DIGITS,
    "digits": DIGITS,
    "cifar10": cifar.CLASSES,
    "fashion-mnist": (
        "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip


def _files(*sha256: str) -> dict[str, tuple[idx.File, idx.File]]:
    return {
        split: (
            idx.File(f"{prefix}-images-idx3-ubyte", (count, 28, 28), sha256[2 * part]),
            idx.File(f"{prefix}-labels-idx1-ubyte", (count,), sha256[2 * part + 1]),
        )
        for part, (split, prefix, count) in enumerate((("train", "train", 60_000), ("test", "t10k", 10_000)))
    }


SOURCES = {
    "mnist": idx.Source(
        "MNIST",
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        _files(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion-mnist": idx.Source(
        "FashionMNIST",
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://fashion-mnist.s3.amazonaws.com/",
        ),
        _files(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    "cifar10": idx.Source(
        "CIFAR10",
        ("https://www.cs.toronto.edu/~kriz/",),
        {"train": (cifar.ARCHIVE,), "test": (cifar.ARCHIVE,)},
    ),
}
