"""Datasets by name, as one uint8 tensor: MNIST, Fashion-MNIST, CIFAR-10, objects, digits, a folder of images.

MNIST: LeCun et al. 1998. Fashion-MNIST: Xiao et al. 2017, arXiv:1708.07747. Imports no torch until images are loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rlgen.core.errors import DataError, UserError, did_you_mean
from rlgen.data import cifar, digits, folder, idx, objects, points

if TYPE_CHECKING:
    from torch import Tensor

Split = Literal["train", "test"]

NAMES = {
    "mnist": "70,000 handwritten digits, 28x28 pixels, grey; a download of 12 MB",
    "fashion-mnist": "70,000 images of clothing, 28x28 pixels, grey; a download of 31 MB",
    "cifar10": "60,000 photographs in ten classes, 32x32 pixels, colour; a download of 170 MB",
    "objects": "60,000 objects on textures in ten classes, 32x32 pixels, colour; drawn in seconds, no download",
    "digits": "1,797 handwritten digits, 8x8 pixels, grey; bundled with scikit-learn",
    **points.NAMES,
    "folder:PATH": "png and jpg files of your own in PATH, or in one folder per class within PATH",
}
PLACES = {"digits": "scikit-learn", "objects": "drawn", **dict.fromkeys(points.NAMES, "drawn")}  # without files


@dataclass(frozen=True)
class Dataset:
    """The images of one split."""

    name: str
    images: Tensor  # (N, C, H, W) uint8
    labels: Tensor | None  # (N,) int64: an index into `classes`
    classes: tuple[str, ...] = ()
    digest: str = ""  # sha256 of a folder's files, both splits together; other datasets never change

    def __len__(self) -> int:
        return len(self.images)

    def take(self, which: Tensor | slice) -> Dataset:
        """The images at indices (M,), or where a mask (N,) is set, with their labels."""
        return replace(self, images=self.images[which], labels=None if self.labels is None else self.labels[which])


def module_of(task: str) -> str | None:
    """None: no dataset imports a module."""
    return None


def resolve(task: str) -> str:
    """The canonical name of a dataset: `Fashion_MNIST` is `fashion-mnist`; a folder's path becomes absolute."""
    kind, _, path = task.partition(":")
    if kind.lower() == "folder" and path:
        root = Path(path).expanduser().resolve()
        if not root.is_dir():
            fault = "is a file, not a folder" if root.exists() else "does not exist"
            raise DataError(f"folder:{path}: {root} {fault}; give the path of a folder with png or jpg files")
        return f"folder:{root}"
    plain = re.sub(r"[\s_-]", "", task.lower())
    for name in NAMES:
        if plain == name.replace("-", ""):
            return name
    raise UserError(f'no dataset "{task}"{did_you_mean(task, NAMES) or ": choose " + ", ".join(NAMES)}')


def short(name: str) -> str:
    """The name of a dataset as it is: there is no longer one."""
    return name


def canonical(task: str, *, data: str | None = None, fallback: bool = True) -> tuple[str, str | None]:
    """The dataset to use for `task`, its files on this machine, and a one-line notice where another one replaces it.

    Downloads missing files. Where that fails, the bundled digits replace the dataset, or without `fallback` a
    DataError is raised.
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
    """Name, description and location of each dataset; reads the disk, not the network."""
    for name, about in NAMES.items():
        if source := SOURCES.get(name):
            paths = [idx.find(source, file, data) for files in source.files.values() for file in files]
            yield name, about, str(paths[0].parent) if paths[0] and all(paths) else "not downloaded"
        else:
            yield name, about, PLACES.get(name, "PATH")


def load(
    task: str, split: Split = "train", *, data: str | None = None, size: int | None = None, skip_bad: bool = False
) -> Dataset:
    """The images of one split of `task`, scaled to `size` x `size` pixels if given.

    Raises DataError where a file is missing, truncated or not the true one, UserError for points; `skip_bad` leaves the
    unreadable images of a folder out, with a warning.
    """
    import torch

    task = resolve(task)
    points.refuse(task)
    if task.startswith("folder:"):
        return _folder(task, split, size, skip_bad)
    if task == "digits":
        images, labels = digits.read(split)
    elif task == "objects":
        drawn = objects.read(split, size or objects.SIDE)
        images, labels = torch.from_numpy(drawn.images), torch.from_numpy(drawn.labels)
    elif task == "cifar10":
        archive = idx.locate(SOURCES[task], cifar.ARCHIVE, data)
        images, labels = map(torch.from_numpy, cifar.read(archive, split))
    else:
        paths = [(idx.locate(SOURCES[task], file, data), file) for file in SOURCES[task].files[split]]
        images, labels = (torch.from_numpy(idx.read(path, file)) for path, file in paths)
        images = images.unsqueeze(1)
    return Dataset(task, _scaled(images, size), labels.long(), CLASSES[task])


def _folder(task: str, split: Split, size: int | None, skip_bad: bool) -> Dataset:
    import torch

    found = folder.read(Path(task.removeprefix("folder:")), size, skip_bad)
    keep = torch.tensor(found.test) == (split == "test")
    images = torch.from_numpy(found.images).permute(0, 3, 1, 2)[keep].contiguous()
    labels = None if found.labels is None else torch.tensor(found.labels)[keep]
    return Dataset(task, images, labels, found.classes, found.digest)


def _scaled(images: Tensor, size: int | None) -> Tensor:
    """(N, C, H, W) uint8 -> (N, C, size, size) uint8, bicubic and antialiased."""
    import torch.nn.functional as F

    if size is None or images.shape[-2:] == (size, size):
        return images
    scaled = F.interpolate(images.float(), size=(size, size), mode="bicubic", antialias=True)
    return scaled.round().clamp(0, 255).to(images.dtype)


CLASSES = {
    "mnist": digits.CLASSES,
    "digits": digits.CLASSES,
    "cifar10": cifar.CLASSES,
    "objects": objects.CLASSES,
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
