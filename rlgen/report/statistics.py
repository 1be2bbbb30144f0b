"""Summaries of a few noisy runs that can be trusted. Agarwal et al. 2021, arXiv:2108.13264."""

from collections.abc import Callable, Sequence

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
    strata: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """The ends (low, high) of the percentile bootstrap interval of `statistic(x, axis=...)`.

    What is drawn again is a whole slice along `axis`. Where x holds one curve per seed, (points, seeds), all the points
    of a curve stay together, and the band is as smooth as the curves are. With `strata`, a label for each slice, as
    many slices as there are of a label are drawn from those of this label: seeds of different tasks are never mixed.
    """
    x = np.moveaxis(np.asarray(x, np.float64), axis, -1)
    n = x.shape[-1]
    labels = np.zeros(n) if strata is None else np.asarray(strata)
    places = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    random = np.random.default_rng(seed)
    draws = np.concatenate([place[random.integers(len(place), size=(repeats, len(place)))] for place in places], axis=1)
    if statistic is np.mean:  # as one product with the number of times each slice was drawn
        counts = np.stack([np.bincount(draw, minlength=n) for draw in draws]) / n  # (repeats, n)
        again = np.moveaxis(x @ counts.T, -1, 0)
    else:
        again = np.stack([np.asarray(statistic(x[..., draw], axis=-1)) for draw in draws])  # each small in memory
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


Pairs = Sequence[tuple[ArrayLike, ArrayLike]]  # for each task the scores of the runs X and of the runs Y


def improvement(pairs: Pairs) -> float:
    """The probability that a run X scores higher than a run Y, the mean over tasks; ties count half.

    P(X > Y) = 1 / (n m) · Σᵢ Σⱼ [xᵢ > yⱼ] + ½ [xᵢ = yⱼ], for n scores of X and m of Y: the Mann-Whitney statistic.
    """
    return float(np.mean([_higher(x, y).mean() for x, y in pairs]))


def improvement_interval(pairs: Pairs, repeats: int = 2000, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """The ends of the stratified bootstrap interval of `improvement`: X and Y are drawn again within each task."""
    random = np.random.default_rng(seed)
    again = np.zeros(repeats)
    for x, y in pairs:
        higher = _higher(x, y)
        n, m = higher.shape
        shares = [random.multinomial(size, np.full(size, 1 / size), repeats) / size for size in (n, m)]
        again += np.einsum("rn,nm,rm->r", shares[0], higher, shares[1]) / len(pairs)
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _higher(x: ArrayLike, y: ArrayLike) -> Floats:
    """(n,), (m,) -> (n, m): 1 where x is higher than y, ½ where both are equal, else 0."""
    x, y = np.asarray(x, np.float64)[:, None], np.asarray(y, np.float64)[None, :]
    return np.asarray(0.5 + 0.5 * np.sign(x - y))


def mean_height(x: Floats, y: Floats, start: float, stop: float) -> float:
    """The area under the curve through the points (P,), divided by its length: by trapezoids, between two places.

    The height at `start` where both places are the same.
    """
    inner = x[(start < x) & (x < stop)]
    at = np.concatenate([[start], inner, [stop]])
    height = np.interp(at, x, y)
    return float(np.trapezoid(height, at) / (stop - start)) if stop > start else float(height[0])


def first_reached(x: Floats, y: Floats, threshold: float) -> float:
    """The first x with a y of at least `threshold`; infinite without any."""
    reached = np.flatnonzero(y >= threshold)
    return float(x[reached[0]]) if len(reached) else np.inf


def running_mean(y: Floats, window: int) -> Floats:
    """At each point the mean of the last `window` points up to it, of fewer at the beginning: (P,) -> (P,)."""
    at = np.arange(1, len(y) + 1)
    first = np.maximum(0, at - window)
    sums = np.append(0.0, np.cumsum(y))
    return np.asarray((sums[at] - sums[first]) / (at - first))


def smooth(y: Floats, parts: int) -> Floats:
    """The moving mean of the moving mean, each over one of so many `parts` of the points: (P,) -> (P,).

    Twice, so that an outlier becomes a hill and not a box. Near the start, where curves are steep, the window shrinks
    on both sides, and the first point stays where it is. A window has five points at least where there are 16.
    """
    at = np.arange(len(y))
    half = np.minimum(at, max(len(y) // parts // 2, min(2, len(y) // 8)))
    low, high = at - half, np.minimum(at + half + 1, len(y))
    for _ in range(2):
        sums = np.append(0.0, np.cumsum(y))
        y = (sums[high] - sums[low]) / (high - low)
    return y
