"""Importance of settings: how much worse scores are predicted when a setting is shuffled. Breiman 2001.

Permutation importance by the trees of scikit-learn (Geurts et al. 2006), and not optuna's fANOVA: it is of trials that
a forest has not seen, so that a setting without an effect has an importance of zero and not of what was learnt by
heart; it has an interval; and it needs nothing but the table of trials.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlgen.report.statistics import Floats
from rlgen.sweep.analysis.outcomes import Interval
from rlgen.sweep.analysis.settings import Setting, encode, places
from rlgen.sweep.space import Value

FORESTS, TREES = 100, 8  # each forest is of a bootstrap draw of the trials


@dataclass(frozen=True)
class Importance:
    """The importance of each setting, the highest first, and what it is worth."""

    settings: tuple[tuple[str, Interval], ...]  # rise of the squared error, as a share of the variance of scores
    explained: float  # share of the variance of the scores of unseen trials that the forests explain, at most 1


def importance(
    settings: Sequence[Setting], rows: Sequence[Mapping[str, Value]], scores: Floats, forests: int = FORESTS
) -> Importance:
    """Permutation importance from the settings (rows) and the scores (n,) of n trials.

    The interval holds 95 % of the bootstrap draws of trials.
    """
    from sklearn.tree import ExtraTreeRegressor

    random = np.random.default_rng(0)
    x, n, variance = encode(settings, rows), len(scores), float(scores.var()) or 1.0
    rises, total, times = np.zeros((forests, len(settings))), np.zeros(n), np.zeros(n)
    for f, rise in enumerate(rises):
        drawn = random.integers(n, size=n)
        unseen = np.setdiff1d(np.arange(n), drawn)
        if not len(unseen):
            continue
        trees = [ExtraTreeRegressor(random_state=TREES * f + t, max_features=1.0) for t in range(TREES)]
        forest = [tree.fit(x[drawn], scores[drawn]) for tree in trees]
        predicted = _predict(forest, x[unseen])
        total[unseen] += predicted
        times[unseen] += 1
        error = np.mean((predicted - scores[unseen]) ** 2)
        for j, setting in enumerate(settings):
            shuffled, columns = x[unseen], places(settings, setting)
            shuffled[:, columns] = shuffled[random.permutation(len(unseen)), columns]
            rise[j] = (np.mean((_predict(forest, shuffled) - scores[unseen]) ** 2) - error) / variance
    met = times > 0
    explained = 1 - float(np.mean((total[met] / times[met] - scores[met]) ** 2)) / variance
    lows, highs = np.quantile(rises, [0.025, 0.975], axis=0)
    found = [
        (setting.name, Interval(float(rises[:, j].mean()), float(lows[j]), float(highs[j])))
        for j, setting in enumerate(settings)
    ]
    return Importance(tuple(sorted(found, key=lambda pair: -pair[1].value)), explained)


def _predict(forest: Sequence[Any], x: Floats) -> Floats:
    """The mean prediction of the trees of a forest at the inputs (m, columns): (m,)."""
    single = x.astype(np.float32)  # what trees compare
    return np.asarray(sum(tree.predict(single, check_input=False) for tree in forest) / len(forest))
