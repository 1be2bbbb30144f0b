"""Validation splits and folds by the content of images: one more image moves no other.

An image belongs where the hash of its pixels puts it, so equal images are never on both sides of a split.
Stratified cross-validation: Kohavi 1995, IJCAI. Duplicates across splits: Barz & Denzler 2020, arXiv:1902.00423.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlgen.core.errors import DataError, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Generator, Tensor

CHUNK = 500  # images that are converted at a time


def hashes(images: Tensor) -> Tensor:
    """(N,) int64: a 64-bit hash of the pixels of each image (N, C, H, W) uint8."""
    import torch

    rows = images.reshape(len(images), -1).contiguous().cpu().numpy()
    digests = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows)
    return torch.frombuffer(bytearray(digests), dtype=torch.int64)


def validation(labels: Tensor, hashes: Tensor, share: float, classes: Sequence[str] = ()) -> Tensor:
    """(N,) bool: whether an image is for validation: where its hash, uniform in [0, 1), is below `share`.

    Each class of `labels` (N,) gives `share` of its images in expectation. In a class so small that one half would be
    empty, the image of the lowest hash is for validation, or that of the highest for training; only then can one more
    image move another. `classes` are names for messages. Raises UserError where a class has no two different images.
    """
    import torch

    if not 0 < share < 1:
        raise UserError(f"a validation split takes a share between 0 and 1 of the training images, not {share}")
    keys = _keys(hashes, "validation")
    chosen = keys < share * 2.0**64
    for label, members in _members(labels):
        own = keys[members]
        lowest, highest = own.min(), own.max()
        if lowest == highest:
            raise DataError(
                f"class {_name(label, classes)} has {_different(1)}: a validation split needs 2, so add images "
                f"or train with --validation 0"
            )
        chosen[members] = (chosen[members] | (own == lowest)) & (own != highest)
    return torch.from_numpy(chosen)


def folds(labels: Tensor, hashes: Tensor, k: int, classes: Sequence[str] = ()) -> Tensor:
    """(N,) int64 in 0..k-1: the fold of each image, with images of every class of `labels` (N,) in every fold.

    The hash chooses the fold. Where a small class leaves a fold empty, the largest fold of the class gives it an
    image; only then can one more image move another. Raises UserError where a class has fewer different images
    than there are folds.
    """
    import numpy as np
    import torch

    if k < 2:
        raise UserError(f"cross-validation needs at least 2 folds, not {k}")
    keys = _keys(hashes, "folds")
    fold = ((keys >> np.uint64(32)) * np.uint64(k) >> np.uint64(32)).astype(np.int64)
    for label, members in _members(labels):
        different, where = np.unique(keys[members], return_inverse=True)  # equal images stay together
        if len(different) < k:
            raise UserError(
                f"class {_name(label, classes)} has {_different(len(different))}, too few for {k} folds: "
                f"take --folds {len(different)} or add images"
                if len(different) > 1
                else f"class {_name(label, classes)} has {_different(1)}, and cross-validation needs 2: add images"
            )
        own = np.empty(len(different), np.int64)
        own[where] = fold[members]
        while not (count := np.bincount(own, minlength=k)).all():
            own[np.flatnonzero(own == count.argmax())[0]] = count.argmin()
        fold[members] = own[where]
    return torch.from_numpy(fold)


def sample(labels: Tensor, count: int, generator: Generator) -> Tensor:
    """(count,) int64, rising: images drawn at random, of every class in `labels` (N,) its share, and at least one.

    Raises UserError for more images than there are, or fewer than classes.
    """
    import torch

    groups = [torch.from_numpy(members) for _, members in _members(labels)]
    if not len(groups) <= count <= len(labels):
        raise UserError(f"--train-images {count:,}: give {len(groups)}, one of each class, to {len(labels):,}")
    order = torch.randperm(len(labels), generator=generator)
    number = order.argsort()  # of each image in this order
    place = torch.empty(len(labels), dtype=torch.float64)
    for members in groups:
        place[members[number[members].argsort()]] = torch.arange(len(members), dtype=torch.float64) / len(members)
    return order[place[order].argsort(stable=True)][:count].sort().values


def duplicates(hashes_a: Tensor, hashes_b: Tensor) -> int:
    """The number of images of `hashes_b` (M,) that occur, to the pixel, among those of `hashes_a` (N,)."""
    import torch

    return int(torch.isin(hashes_b, hashes_a).sum())


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,) and standard deviation (C,) of all pixels of a channel, images (N, C, H, W) uint8 scaled to [0, 1].

    The deviation of all pixels about one mean, not the mean of the deviations within images, which is smaller: of
    CIFAR-10's red channel 0.2470, not 0.2023. Of a constant channel it is 1.
    """
    import torch

    scale = 1.0 if images.is_floating_point() else 255.0
    total = torch.zeros(2, images.shape[1], dtype=torch.float64)
    for part in torch.split(images, CHUNK):
        pixels = part.flatten(2).float()
        total += torch.stack([pixels.sum(2), pixels.square().sum(2)]).cpu().double().sum(1)  # in float64 over images
    mean, square = total / (images.numel() / images.shape[1])
    deviation = (square - mean**2).clamp(min=0).sqrt()
    constant = deviation < 1e-6 * scale
    return (mean / scale).float(), torch.where(constant, 1.0, deviation / scale).float()


def absent(labels: Tensor, classes: Sequence[str]) -> list[str]:
    """The names of the classes without an image."""
    count = labels.bincount(minlength=len(classes)).tolist()
    return [name for name, images in zip(classes, count, strict=True) if not images]


def _keys(hashes: Tensor, purpose: str) -> NDArray[np.uint64]:
    """Hashes mixed with a purpose (splitmix64): the folds of what a validation split leaves are of equal size."""
    import numpy as np

    salt = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest())
    key = hashes.cpu().numpy().view(np.uint64) ^ np.uint64(salt)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def _members(labels: Tensor) -> list[tuple[int, NDArray[np.int64]]]:
    """Each class that has images, with their positions."""
    import numpy as np

    array = labels.cpu().numpy()
    return [(int(label), np.flatnonzero(array == label)) for label in np.unique(array)]


def _name(label: int, classes: Sequence[str]) -> str:
    return classes[label] if classes else str(label)


def _different(count: int) -> str:
    return "1 image, copies of it aside" if count == 1 else f"{count} different images"
