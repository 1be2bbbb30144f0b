"""Cost of the datasets: drawing `objects`, splits and statistics, augmentation. Prints measurements; nothing is a test.

    python tests/benchmarks/datasets.py draw                # images/s, CPU seconds of all 60,000, and peak memory
    python tests/benchmarks/datasets.py augment             # images/s on one thread
    python tests/benchmarks/datasets.py splits mnist        # hashes, validation split, folds, statistics, duplicates
    python tests/benchmarks/datasets.py sheet objects.png   # the first 64 images with their classes and boxes

Seconds are those of the CPU: other processes do not change them.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rlgen import data
from rlgen.data import objects, splits
from rlgen.data.augmentation import AUGMENTATIONS, Augmentation

SHAPES = ((1, 28, 28), (3, 32, 32))
BATCHES = (128, 512)
REPEATS = 7


def seconds(call: Callable[[], Any], repeats: int = REPEATS) -> float:
    """The median CPU seconds of a call, after one call that is not measured."""
    taken = []
    for _ in range(repeats + 1):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return statistics.median(taken[1:])


def draw() -> None:
    """Drawing, and reading the cache."""
    start = time.process_time()
    for split, count in objects.COUNTS.items():
        objects.draw_many(objects.FIRST[split], count)
    taken = time.process_time() - start
    print(f"drawing {sum(objects.COUNTS.values()):,} images  {taken:.1f} CPU s, {60_000 / taken:,.0f} images/s")
    print(f"loading the training split  {seconds(lambda: data.load('objects'), 2):.2f} CPU s once it is cached")
    print(f"peak memory  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def augment() -> None:
    """Images/s of every augmentation by shape and minibatch."""
    torch.set_num_threads(1)
    columns = [(shape, batch) for shape in SHAPES for batch in BATCHES]
    heads = [f"{'x'.join(map(str, shape))}, {batch}" for shape, batch in columns]
    print(f"{'images/s':<12}" + "".join(f"{head:>16}" for head in heads))
    for name in (*AUGMENTATIONS, "shift,flip", "crop,flip"):
        cells = []
        for shape, batch in columns:
            x, y = torch.rand(batch, *shape), torch.arange(batch)
            augmentation, generator = Augmentation(tuple(name.split(","))), torch.Generator()

            def calls() -> None:
                for _ in range(10):
                    augmentation(x, y, generator)  # noqa: B023

            cells.append(f"{10 * batch / seconds(calls):>16,.0f}")
        print(f"{name:<12}" + "".join(cells))


def split(task: str) -> None:
    """CPU seconds of what a classifier computes once from all images."""
    train, test = data.load(task), data.load(task, "test")
    assert train.labels is not None
    labels, hashes = train.labels, splits.hashes(train.images)
    calls: dict[str, Callable[[], Any]] = {
        "hashes": lambda: splits.hashes(train.images),
        "validation": lambda: splits.validation(labels, hashes, 0.1),
        "folds": lambda: splits.folds(labels, hashes, 5),
        "statistics": lambda: splits.statistics(train.images),
    }
    for name, call in calls.items():
        print(f"{name:<12} {seconds(call, 3):.3f} CPU s")
    print(f"duplicates   {splits.duplicates(hashes, splits.hashes(test.images))} test images are training images")


def sheet(path: Path) -> None:
    """Write a picture of the first 64 training images."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    drawn = objects.draw_many(0, 64)
    figure, axes = plt.subplots(8, 8, figsize=(12, 13.5))
    for axis, image, label, box in zip(axes.flat, drawn.images, drawn.labels, drawn.boxes, strict=True):
        left, top, right, bottom = (float(side) for side in box)
        axis.imshow(image.transpose(1, 2, 0))
        axis.add_patch(plt.Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, color="white"))
        axis.set_title(objects.CLASSES[label], fontsize=9)
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("draw")
    commands.add_parser("augment")
    commands.add_parser("splits").add_argument("task", nargs="?", default="objects")
    commands.add_parser("sheet").add_argument("path", type=Path)
    options = parser.parse_args()
    if options.command == "splits":
        split(options.task)
    elif options.command == "sheet":
        sheet(options.path)
    else:
        {"draw": draw, "augment": augment}[options.command]()
