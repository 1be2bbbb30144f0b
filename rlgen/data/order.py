"""The order of images in training: minibatches of indices, which a resumed run continues."""

import logging

import torch
from torch import Tensor

from rlgen.core.seeds import derive
from rlgen.core.state import Stateful

log = logging.getLogger("rlgen")


class Order(Stateful):
    """Every one of `count` images once per epoch, in an order that differs between epochs and between S seeds.

    The order is a permutation by (seed, epoch), so the state is the epoch and the position in it.
    """

    state = ("epoch", "position")

    def __init__(self, count: int, batch: int, seed: int, device: torch.device, seeds: int = 1) -> None:
        self.count, self.batch, self.seed, self.seeds, self.device = count, batch, seed, seeds, device
        self.epoch = self.position = 0
        self._order: tuple[int, Tensor] | None = None  # an epoch and its permutations (S, N)

    def next_index(self, smallest: int = 1) -> Tensor:
        """Indices (S, B) of the next minibatch; the last one of an epoch may be smaller.

        A rest of fewer than `smallest` images joins the minibatch before it.
        """
        if self.epoch == self.position == 0 and self.batch > self.count:
            log.warning(f"--batch {self.batch:,} is more than the {self.count:,} training images: each step takes all")
        if self.position >= self.count:
            self.epoch, self.position = self.epoch + 1, 0
        end = self.position + self.batch
        index = self._permutations()[:, self.position : self.count if self.count - end < smallest else end]
        self.position += index.shape[1]
        return index

    def _permutations(self) -> Tensor:
        if self._order is None or self._order[0] != self.epoch:
            orders = torch.stack([self._permutation(s) for s in range(self.seeds)])
            self._order = (self.epoch, orders.to(self.device))
        return self._order[1]

    def _permutation(self, s: int) -> Tensor:
        purpose = f"order of epoch {self.epoch}" + (f" of seed {s}" if s else "")
        return torch.randperm(self.count, generator=torch.Generator().manual_seed(derive(self.seed, purpose)))
