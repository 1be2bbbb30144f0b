"""The images of some classes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rlgen.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from rlgen.data.datasets import Dataset


def only_classes(dataset: Dataset, names: str) -> Dataset:
    """The images of the classes in `names`, such as `0,1,2` or `cat,dog`; they get the numbers 0, 1, ... in that order.

    Raises UserError for an unknown class, one named twice, and fewer than two.
    """
    import torch

    if dataset.labels is None:
        raise UserError(f"--only-classes: {dataset.name} has no labels")
    chosen = [_number(dataset, name.strip()) for name in names.split(",")]
    if len(set(chosen)) < max(2, len(chosen)):
        raise UserError(f"--only-classes {names}: name at least two classes, each once")
    numbers = torch.full((len(dataset.classes),), -1)
    numbers[chosen] = torch.arange(len(chosen))
    kept = dataset.take(numbers[dataset.labels] >= 0)
    assert kept.labels is not None
    return replace(kept, labels=numbers[kept.labels], classes=tuple(dataset.classes[i] for i in chosen))


def _number(dataset: Dataset, name: str) -> int:
    if name in dataset.classes:
        return dataset.classes.index(name)
    if name.isdecimal() and int(name) < len(dataset.classes):
        return int(name)
    hint = did_you_mean(name, dataset.classes) or f": there are {', '.join(dataset.classes)}"
    raise UserError(f"--only-classes: {dataset.name} has no class {name!r}{hint}")
