"""The weights of a network side by side in one buffer: an operation on all of them is one call."""

from collections.abc import Sequence
from operator import is_

import torch
from torch import Tensor, nn

LARGEST = 1 << 17  # weights of a network: beyond it the copy of the gradients costs more than the calls it saves


class Flat:
    """The weights of S networks in one buffer (S, P), and their gradients in another. Each weight becomes a view."""

    def __init__(self, weights: Sequence[nn.Parameter], seeds: int) -> None:
        self.parameters, self.seeds = list(weights), seeds
        self.sizes = [weight.numel() // seeds for weight in weights]
        self.weights = torch.cat([weight.detach().reshape(seeds, -1) for weight in weights], 1)
        self.gradients = torch.zeros_like(self.weights)
        for weight, view in zip(weights, self.views(self.weights), strict=True):
            weight.data = view
        self.gradient_views = self.views(self.gradients)
        self._attach()

    def views(self, buffer: Tensor) -> list[Tensor]:
        """The part of each weight, in its shape, of a buffer (S, P)."""
        parts = torch.split(buffer, self.sizes, 1)
        return [part.view(weight.shape) for part, weight in zip(parts, self.parameters, strict=True)]

    @property
    def attached(self) -> bool:
        """Whether the gradients of the weights are those in `gradients`."""
        return all(map(is_, (weight.grad for weight in self.parameters), self.gradient_views))

    def gather(self) -> None:
        """Copy the gradients of a backward pass, which began without any, into `gradients`."""
        assert self.parameters[0].data_ptr() == self.weights.data_ptr(), "the weights are views of the buffer no more"
        found = (weight.new_zeros(weight.shape) if weight.grad is None else weight.grad for weight in self.parameters)
        torch.cat([gradient.reshape(self.seeds, -1) for gradient in found], 1, out=self.gradients)
        self._attach()

    def _attach(self) -> None:
        for weight, view in zip(self.parameters, self.gradient_views, strict=True):
            weight.grad = view


def flat(weights: Sequence[nn.Parameter], seeds: int) -> Flat | None:
    """The weights as one buffer; None where they are many, of several types, or of another layout than row by row."""
    small = sum(weight.numel() for weight in weights) <= LARGEST * seeds
    alike = len({(weight.dtype, weight.device) for weight in weights}) == 1
    rows = all(weight.is_contiguous() and weight.requires_grad and len(weight) % seeds == 0 for weight in weights)
    return Flat(weights, seeds) if small and alike and rows else None
