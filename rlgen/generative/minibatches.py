"""Minibatches of a dataset held in memory, in an order that a resumed run continues."""

import logging

import torch
from torch import Tensor

from rlgen.core.images import from_bytes
from rlgen.core.seeds import derive
from rlgen.core.state import Stateful
from rlgen.data import Dataset

log = logging.getLogger("rlgen")


class Minibatches(Stateful):
    """All images of a dataset once per epoch, in an order that differs between epochs.

    The order is a permutation by (seed, epoch), so the state is the epoch and the position in it.
    """

    state = ("epoch", "position")

    def __init__(self, dataset: Dataset, batch: int, seed: int, device: torch.device) -> None:
        self.images = dataset.images.permute(0, 2, 3, 1).contiguous().to(device)  # (N, H, W, C) suits convolutions
        self.labels = None if dataset.labels is None else dataset.labels.to(device)
        self.batch, self.seed = batch, seed
        self.epoch = self.position = 0
        self._order: tuple[int, Tensor] | None = None  # an epoch and its permutation (N,)

    def next(self) -> tuple[Tensor, Tensor | None]:
        """Images (B, C, H, W) in [0, 1] and labels (B,); the last batch of an epoch may be smaller."""
        if self.epoch == self.position == 0 and self.batch > len(self.images):
            log.warning(
                f"--batch {self.batch:,} is more than the {len(self.images):,} training images: each step takes all"
            )
        if self.position >= len(self.images):
            self.epoch, self.position = self.epoch + 1, 0
        index = self._permutation()[self.position : self.position + self.batch]
        self.position += len(index)
        x = from_bytes(self.images[index].permute(0, 3, 1, 2))
        return x, None if self.labels is None else self.labels[index]

    def _permutation(self) -> Tensor:
        if self._order is None or self._order[0] != self.epoch:
            stream = torch.Generator().manual_seed(derive(self.seed, f"order of epoch {self.epoch}"))
            self._order = (self.epoch, torch.randperm(len(self.images), generator=stream).to(self.images.device))
        return self._order[1]
