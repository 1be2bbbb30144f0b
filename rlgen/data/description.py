"""Facts about a dataset as text, for the start panel."""

from collections.abc import Sequence

from rlgen.data.datasets import Dataset

MAX_NAMES = 12  # classes named in a message
SPLITS = {"folder": "split by a hash of the file names", "digits": "fixed random split"}


def describe(train: Dataset, test: Dataset, more: str = "") -> dict[str, str]:
    """Number of images, classes, shape of an image and split; `more` stands between training and test images."""
    channels, height, width = train.images.shape[1:]
    depth = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    split = SPLITS.get(train.name.split(":")[0], "split as published")
    classes = train.classes
    return {
        "images": f"{len(train):,} for training{more}, {len(test):,} for tests ({split})",
        "classes": f"{len(classes)}:{class_names(classes)}" if classes else "none",
        "shape": f"{width}x{height} pixels, {depth}",
        **({"fingerprint": train.digest[:12]} if train.digest else {}),  # of files that may change
    }


def class_names(classes: Sequence[str]) -> str:
    """` 0, 1, 2, ...`"""
    return f" {', '.join(classes[:MAX_NAMES])}{', ...' if len(classes) > MAX_NAMES else ''}"
