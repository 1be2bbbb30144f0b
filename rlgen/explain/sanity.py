"""Sanity checks of maps: a map that stays the same when the weights are random explains nothing about the weights.

Adebayo et al. 2018, arXiv:1810.03292: rank correlation with the maps of randomised weights, all of them, or those of
the upper layers alone.
"""

import copy

import torch
from torch import Tensor, nn

from rlgen.explain.layers import blocks


def cascade(network: nn.Module, fresh: nn.Module, kept: int) -> nn.Module:
    """A network of the first `kept` blocks of `network`, and `fresh` weights in all that follows."""
    mixed = copy.deepcopy(fresh)
    for i in range(kept):
        blocks(mixed)[i].load_state_dict(blocks(network)[i].state_dict())
    return mixed


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's correlation of the magnitudes of maps: (N, ...), (N, ...) -> (N,); NaN where a map is constant.

    Equal values share their mean rank.
    """
    x, y = (torch.stack([ranks(row) for row in maps.abs().flatten(1)]) for maps in (a, b))
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    return (x * y).sum(1) / (x.square().sum(1) * y.square().sum(1)).sqrt()


def ranks(values: Tensor) -> Tensor:
    """Ranks from 1, equal values with their mean: (n,) -> (n,) float64."""
    _, index, counts = torch.unique(values, return_inverse=True, return_counts=True)
    means: Tensor = counts.cumsum(0) - (counts - 1) / 2
    return means.double()[index]
