"""Labels of samples, and any number of samples a thousand at a time."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from rlgen.core.errors import UserError
from rlgen.core.seeds import derive

CHUNK_SIZE = 1_000  # samples at once, to bound the memory

Labels = Tensor | Sequence[int] | int  # one per image, or one for all


class Sampler(Protocol):
    """What can be sampled from."""

    num_classes: int  # 0 where it takes no labels

    def sample(self, count: int | None = None, *, seed: int = 0, labels: Labels | None = None) -> Tensor:
        """Images (count, C, H, W) in [0, 1]."""
        ...


def label_tensor(
    num_classes: int, count: int | None, labels: Labels | None, start: int = 0
) -> tuple[int, Tensor | None]:
    """The number of samples and their labels (count,), of `num_classes`; None where there are no classes.

    One label counts for all samples; without labels the classes take turns, the first at sample 0 with `start` samples
    before these. Without a `count` there are as many samples as labels, one for a single label. Raises UserError for
    labels that do not fit.
    """
    if not num_classes:
        if labels is not None:
            raise UserError("this model was trained without --conditional: it takes no labels")
        return 1 if count is None else count, None
    if labels is None:
        count = num_classes if count is None else count
        return count, (start + torch.arange(count)) % num_classes
    given = torch.as_tensor(labels)
    if given.is_floating_point() or given.dtype == torch.bool or given.ndim > 1:
        raise UserError("labels are whole numbers, one per sample or one for all")
    count = count or given.numel()
    given = given.long().expand(count) if given.ndim == 0 else given.long()
    if len(given) != count or (count and (given.min() < 0 or given.max() >= num_classes)):
        raise UserError(f"{count} samples take {count} labels from 0 to {num_classes - 1}, or one for all")
    return count, given


def sample_batches(model: Sampler, count: int, seed: int = 0, labels: Labels | None = None) -> Iterator[Tensor]:
    """`count` samples of a model as images (n, C, H, W), at most `CHUNK_SIZE` at a time. Memory is bounded.

    The first ones are those of `model.sample(CHUNK_SIZE, seed=seed)`, each further chunk has a seed of its own.
    """
    for start in range(0, count, CHUNK_SIZE):
        size = min(CHUNK_SIZE, count - start)
        given: Labels | None
        if labels is None:
            _, given = label_tensor(model.num_classes, size, None, start)
        elif isinstance(labels, int):
            given = labels
        else:
            given = labels[start : start + size]
        yield model.sample(size, seed=derive(seed, f"samples from {start}") if start else seed, labels=given)
