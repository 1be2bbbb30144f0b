"""Incremental sampling: activations of earlier pixels are cached, so a new pixel costs one column of the network.

Ramachandran et al. 2017, arXiv:1704.06001.
"""

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SamplingCache:
    """Position of the next pixel of a batch of images, and the activations at earlier pixels, by module."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.row = self.column = 0  # of the next pixel
        self.activations: dict[nn.Module, Any] = {}


class CausalModule(nn.Module):
    """A module for whole images (B, C, H, W) and, in incremental mode, one pixel (B, C) or row (B, C, 1, W)."""

    cache: SamplingCache | None = None  # None outside of incremental mode

    @property
    def active_cache(self) -> SamplingCache:
        """The cache of the incremental mode."""
        assert self.cache is not None, "a single pixel or row is an input in incremental mode only"
        return self.cache


def incremental_mode(network: nn.Module, height: int, width: int) -> AbstractContextManager[SamplingCache]:
    """Within the context, the inputs of `network` are successive pixels (B, C) or rows (B, C, 1, W) of H x W images.

    The caller moves `row` and `column` of the cache. Gradients are off.
    """
    return attached(network, SamplingCache(height, width))


@contextmanager
def attached(network: nn.Module, cache: SamplingCache) -> Iterator[SamplingCache]:
    """The incremental mode with a cache of earlier pixels, which may be used again after the context."""
    modules = [module for module in network.modules() if isinstance(module, CausalModule)]
    try:
        for module in modules:
            module.cache = cache
        with torch.inference_mode():
            yield cache
    finally:
        for module in modules:
            module.cache = None


class ActivationBuffer:
    """The last rows of the inputs of a convolution, with the receptive field of each output contiguous in memory."""

    def __init__(self, zeros: Tensor, left: int, right: int) -> None:
        """`zeros` is (columns, rows, I, B); a receptive field has `left` columns before its own and `right` after."""
        columns = len(zeros)
        self.row = 0
        self.rows = F.pad(zeros, (0, 0, 0, 0, 0, 0, left, right))  # (left + columns + right, rows, I, B)
        self.newest = self.rows[left : left + columns, -1]
        self.pixels = [pixel.T for pixel in self.newest]  # views (B, I) of the newest row, by column
        self.fields = [self.rows[j : j + left + 1 + right].flatten(0, 2).T for j in range(columns)]  # views

    def write_pixel(self, x: Tensor, row: int, column: int) -> Tensor:
        """Store a pixel (B, I). Returns the receptive field there: (B, columns · rows · I)."""
        self._advance(row)
        self.pixels[column].copy_(x)
        return self.fields[column]

    def write_row(self, x: Tensor, row: int) -> Tensor:
        """Store a row (B, I, 1, W). Returns the receptive fields of its outputs: (B, I, rows, left + W + right)."""
        self._advance(row)
        self.newest.copy_(x[:, :, 0].permute(2, 1, 0))
        return self.rows.permute(3, 2, 1, 0)

    def _advance(self, row: int) -> None:
        """Shift the rows up by one where `row` is a new one; the newest is zero then."""
        if row > self.row:
            self.row = row
            rows = list(self.rows.unbind(1))
            for older, newer in itertools.pairwise(rows):
                older.copy_(newer)
            rows[-1].zero_()
