"""Minibatches of a dataset held in memory, in an order that a resumed run continues."""

import torch
from torch import Tensor

from rlgen.core.images import from_bytes, rows
from rlgen.core.processes import share
from rlgen.data import Dataset
from rlgen.data.order import Order


class Minibatches(Order):
    """All images of a dataset once per epoch, and their labels."""

    def __init__(self, dataset: Dataset, batch: int, seed: int, device: torch.device) -> None:
        super().__init__(len(dataset), batch, seed, device)
        self.images = dataset.images.permute(0, 2, 3, 1).contiguous().to(device)  # (N, H, W, C) suits convolutions
        self.labels = None if dataset.labels is None else dataset.labels.to(device)

    def next(self) -> tuple[Tensor, Tensor | None]:
        """Images (B, C, H, W) in [0, 1] and labels (B,); of several processes a share; an epoch may end with fewer."""
        index = share(self.next_index()[0])
        x = from_bytes(rows(self.images, index)).permute(0, 3, 1, 2)
        return x, None if self.labels is None else self.labels[index]
