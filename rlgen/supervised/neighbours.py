"""Exact search for nearest neighbours by L1 or L2 distance. Cover & Hart 1967, doi:10.1109/TIT.1967.1053964.

Shapes: Q queries, M remembered vectors, D numbers in each, k neighbours.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from rlgen.core.workers import side_by_side

Metric = Literal["l1", "l2"]
SPARE = 8  # further candidates beside the k by L2, whose distances are computed again without cancellation
COPIED = 0.25  # share of the memory up to which candidates are copied; beyond it all distances are computed


class Neighbours(NamedTuple):
    """The nearest remembered vectors of each query, the nearest first; of equal distances the earlier one first."""

    distance: Tensor  # (Q, k)
    place: Tensor  # (Q, k) int64: index among the remembered vectors


class Memory:
    """Remembered vectors (M, D), and the fold (M,) of each: a query of a fold has its neighbours in other folds."""

    def __init__(self, vectors: Tensor, folds: Tensor | None = None) -> None:
        self.vectors = vectors
        self.squares = vectors.square().sum(1)  # (M,)
        self.range = (float(vectors.min()), float(vectors.max()))
        self.folds = folds

    def nearest(self, queries: Tensor, k: int, metric: Metric, folds: Tensor | None = None) -> Neighbours:
        """The k nearest remembered vectors of each query (Q, D), of the folds (Q,) where vectors have folds."""
        squared = self._squared(queries)
        if self.folds is not None and folds is not None:
            squared.masked_fill_(folds.unsqueeze(1) == self.folds, torch.inf)
        return self._by_l2(queries, squared, k) if metric == "l2" else self._by_l1(queries, squared, k)

    def _squared(self, queries: Tensor) -> Tensor:
        """|q - m|² = |q|² + |m|² - 2 q·m, (Q, M), accurate to the rounding of |q|² + |m|²."""
        sums = queries.square().sum(1, keepdim=True) + self.squares
        return sums.addmm_(queries, self.vectors.T, alpha=-2)

    def _by_l2(self, queries: Tensor, squared: Tensor, k: int) -> Neighbours:
        candidates = squared.topk(min(k + SPARE, squared.shape[1]), largest=False, sorted=False)
        index = candidates.indices.sort(1).values
        exact = (queries.unsqueeze(1) - self.vectors[index]).square().sum(2)  # (Q, k + SPARE)
        exact.masked_fill_(squared.gather(1, index).isinf(), torch.inf)
        order = exact.argsort(dim=1, stable=True)[:, :k]
        return Neighbours(exact.gather(1, order).sqrt(), index.gather(1, order))

    def _by_l1(self, queries: Tensor, squared: Tensor, k: int) -> Neighbours:
        """Only vectors whose lower bound is at most the distance of some k others are compared in full.

        Σ|d| ≥ Σd² / max|d|, and max|d| is at most the range of all numbers.
        """
        low, high = (f(own, float(given)) for f, own, given in zip(
            (min, max), self.range, (queries.min(), queries.max()), strict=True
        ))  # fmt: skip
        rounding = 1e-5 * (queries.square().sum(1, keepdim=True) + self.squares.max())
        bound = (squared - rounding).div_(max(high - low, 1e-12))  # (Q, M)
        first = bound.topk(k, largest=False, sorted=False).indices
        limit = (queries.unsqueeze(1) - self.vectors[first]).abs().sum(2).amax(1, keepdim=True) * (1 + 1e-5)
        near = bound <= limit
        found = side_by_side(lambda q: self._compare(queries[q], bound[q], near[q], k), range(len(queries)))
        return Neighbours(*map(torch.stack, zip(*found, strict=True)))

    def _compare(self, query: Tensor, bound: Tensor, near: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Distances (k,) and indices (k,) of the nearest to a query (D,) among the vectors `near` (M,)."""
        index = near.nonzero().squeeze(1)
        copied = len(index) < COPIED * len(self.vectors)
        rows = self.vectors[index] if copied else self.vectors
        distance = torch.cdist(query.unsqueeze(0), rows, p=1).squeeze(0)
        distance = distance if copied else distance[index]
        distance.masked_fill_(bound[index].isinf(), torch.inf)
        order = distance.argsort(stable=True)[:k]
        return distance[order], index[order]
