"""Sampling in proportion to priorities. Schaul et al. 2016, arXiv:1511.05952, section 3.3.

The places form blocks with one sum each: a draw finds its block by the sums, then its place inside the block. A sum is
always computed anew from its block, so that rounding errors do not accumulate. This is a tree of two levels: a binary
tree needs fewer additions, but every level costs a call of numpy.
"""

import numpy as np
from numpy.typing import NDArray

WIDTH = 32  # places per block


class Priorities:
    """A priority ≥ 0 for each of the places 0, 1, ... of S seeds; a place with 0 is never drawn."""

    def __init__(self, seeds: int, places: int) -> None:
        blocks = -(-places // WIDTH)
        self.of = np.zeros((seeds, blocks * WIDTH))  # by place; float64
        self.sums = np.zeros((seeds, blocks))
        self._flat, self._blocks, self._sums = self.of.reshape(-1), self.of.reshape(-1, WIDTH), self.sums.reshape(-1)
        self._seed = np.arange(seeds)[:, None]

    def assign(self, place: NDArray[np.int64], value: NDArray[np.float64] | float) -> None:
        """Set the priorities of the places (S, B); of a place given twice the last value counts."""
        place = place + self._seed * self.of.shape[1]
        self._flat[place] = value
        if place.size > self.sums.size:
            self._blocks.sum(1, out=self._sums)
        else:
            block = place // WIDTH
            self._sums[block] = self._blocks.take(block, 0).sum(-1)

    def draw(self, uniform: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Uniform numbers in [0, 1), (S, B) -> places (S, B), P(i) = p_i / Σ p of their seed, and their priorities."""
        reached = self.sums.cumsum(1)
        rest = uniform * reached[:, -1:]
        block = np.stack([one.searchsorted(x, "right") for one, x in zip(reached, rest, strict=True)])
        block += self._seed * self.sums.shape[1]
        rest -= reached.take(block) - self.sums.take(block)
        inside = self._blocks.take(block, 0)  # (S, B, WIDTH)
        inside.cumsum(-1, out=inside)
        np.minimum(rest, np.nextafter(inside[..., -1], 0), out=rest)  # rounding must lead neither past the block
        np.maximum(rest, 0, out=rest)  # nor before it, where the priorities are 0
        place = block * WIDTH + (inside > rest[..., None]).argmax(-1)
        return place - self._seed * self.of.shape[1], self._flat.take(place)

    def scale(self, factor: NDArray[np.float64]) -> None:
        """Multiply all priorities of each seed by its factor, (S, 1)."""
        self.of *= factor
        self._blocks.sum(1, out=self._sums)

    def load(self, saved: NDArray[np.float64]) -> None:
        """Set the priorities of the first places, (S, places), and of all others to 0."""
        self.of[:] = 0
        self.of[:, : saved.shape[1]] = saved
        self._blocks.sum(1, out=self._sums)
