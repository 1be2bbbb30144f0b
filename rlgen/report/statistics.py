"""Summaries of a few noisy runs that can be trusted. Agarwal et al. 2021, arXiv:2108.13264."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def iqm(x: ArrayLike, axis: int = -1) -> Floats:
    """Interquartile mean: the mean of what is left without the lowest and the highest ⌊n / 4⌋ of n values.

    Nearly as robust as the median, nearly as efficient as the mean. One NaN makes the result NaN: sorted to the end,
    it would be trimmed away as if a diverged run were the best one.
    """
    x = np.moveaxis(np.asarray(x, np.float64), axis, -1)
    n = x.shape[-1]
    if not n:
        raise ValueError("the interquartile mean of no values")
    middle = np.sort(x, axis=-1)[..., n // 4 : n - n // 4].mean(axis=-1)
    return np.where(np.isnan(x).any(axis=-1), np.nan, middle)


def bootstrap(
    x: ArrayLike,
    statistic: Callable[..., ArrayLike] = np.mean,
    repeats: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    axis: int = -1,
) -> tuple[Floats, Floats]:
    """The ends (low, high) of the percentile bootstrap interval of `statistic(x, axis=...)`.

    What is drawn again is a whole slice along `axis`. Where x holds one curve per seed, (points, seeds), all the points
    of a curve stay together, and the band is as smooth as the curves are.
    """
    x = np.moveaxis(np.asarray(x, np.float64), axis, -1)
    n = x.shape[-1]
    draws = np.random.default_rng(seed).integers(n, size=(repeats, n))
    again = [np.asarray(statistic(x[..., draw], axis=-1)) for draw in draws]  # one at a time: small in memory
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def running_mean(y: Floats, window: int) -> Floats:
    """At each point the mean of the last `window` points up to it, of fewer at the beginning: (P,) -> (P,)."""
    at = np.arange(1, len(y) + 1)
    first = np.maximum(0, at - window)
    sums = np.append(0.0, np.cumsum(y))
    return np.asarray((sums[at] - sums[first]) / (at - first))


def smooth(y: Floats, parts: int) -> Floats:
    """The moving mean of the moving mean, each over one of so many `parts` of the points: (P,) -> (P,).

    Twice, so that an outlier becomes a hill and not a box. Near the start, where curves are steep, the window shrinks
    on both sides, and the first point stays where it is.
    """
    at = np.arange(len(y))
    half = np.minimum(at, len(y) // parts // 2)
    low, high = at - half, np.minimum(at + half + 1, len(y))
    for _ in range(2):
        sums = np.append(0.0, np.cumsum(y))
        y = (sums[high] - sums[low]) / (high - low)
    return y
