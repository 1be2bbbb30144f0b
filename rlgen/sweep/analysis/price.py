"""The price of tuning: the held-out score that k trials lead to, against their CPU-seconds.

After Dodge et al. 2019, arXiv:1909.03004, whose expected maximum of k draws is here one without replacement, and of a
score that took no part in the selection.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlgen.report.statistics import Floats
from rlgen.sweep.analysis.outcomes import Outcomes, Places, ranking

ORDERS = 1000  # random orders of the trials, for the band


@dataclass(frozen=True)
class Price:
    """Entry k - 1 is that of a study of k trials, k = 1, ..., n."""

    seconds: Floats  # (n,) expected CPU-seconds
    best: Floats  # (n,) expected score of the best trial, higher is better
    low: Floats  # (n,) ends of the band of 95 % of the orders of trials and draws of seeds
    high: Floats
    held_out: bool  # whether the score is of seeds that took no part in the selection


def price(outcomes: Outcomes, orders: int = ORDERS) -> Price:
    """The price of tuning, were the trials of a study made in a random order.

    Each of the S seeds is held out in turn: the other ones select the best of k trials, and the held-out one scores it.
    With a single seed the score is that of the selection, which is too high. A trial that failed, diverged or was
    pruned costs what it has cost, is never better than another, and has the worst score of all where it is alone.
    """
    n, seeds = outcomes.scores.shape
    values = np.where(outcomes.scored[:, None], outcomes.scores, np.nan)
    values = np.where(np.isnan(values), np.nanmin(values, axis=0), values)  # (n, S)
    selecting = outcomes.scores  # (n, S): what ranks the trials where seed s is held out
    if seeds > 1:
        selecting = (outcomes.scores.sum(axis=1, keepdims=True) - outcomes.scores) / (seeds - 1)
    rankings = [ranking(selecting[:, s]) for s in range(seeds)]
    best = np.mean([expected_best(values[order, s]) for s, order in enumerate(rankings)], axis=0)
    low, high = _band(values, rankings, orders)
    return Price(np.arange(1, n + 1) * outcomes.seconds.mean(), best, low, high, seeds > 1)


def expected_best(values: Floats) -> Floats:
    """The expected value of the first of k of n values in the given order, drawn without replacement: (n,) -> (n,).

    P(r is the first of k) = C(n - 1 - r, k - 1) / C(n, k) for r = 0, ..., n - 1: all others come after it. The result
    is for k = 1, ..., n.
    """
    n = len(values)
    k = np.arange(1, n + 1)
    probability, total = k / n, np.zeros(n)
    for r, value in enumerate(values):
        total += probability * value
        if r < n - 1:
            probability = probability * np.maximum(n - k - r, 0) / (n - 1 - r)
    return total


def _band(values: Floats, rankings: Sequence[Places], orders: int) -> tuple[Floats, Floats]:
    """Quantiles over random orders of the trials, each with its own bootstrap draw of seeds."""
    random = np.random.default_rng(0)
    n, seeds = values.shape
    ranks, ordered = np.empty((n, seeds), np.intp), np.empty((n, seeds))  # (trial, seed), (rank, seed)
    for s, order in enumerate(rankings):
        ranks[order, s], ordered[:, s] = np.arange(n), values[order, s]
    found = np.empty((orders, n))
    for i in range(orders):
        first = np.minimum.accumulate(ranks[random.permutation(n)], axis=0)  # (n, S): the best rank of the first k
        drawn = random.integers(seeds, size=seeds)
        found[i] = ordered[first, np.arange(seeds)][:, drawn].mean(axis=1)
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    return low, high


def within(price: Price, share: float = 0.95) -> int:
    """The fewest trials with which the expected score has made this share of its rise from one trial to all."""
    rise = price.best[-1] - price.best[0]
    return int(np.argmax(price.best >= price.best[0] + share * rise - 1e-12 * abs(price.best).max())) + 1
