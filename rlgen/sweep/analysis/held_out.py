"""Scores of selected settings with the seeds that selected them, and with fresh ones.

The highest of many noisy scores is too high. Patterson et al. 2024, arXiv:2304.01315; Eimer et al. 2023,
arXiv:2306.01324.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlgen.report.statistics import Floats, bootstrap
from rlgen.sweep.analysis.outcomes import FEWEST, Interval, mean_interval, outcomes
from rlgen.sweep.trials import Settings, State, Trial


@dataclass(frozen=True)
class Finalist:
    """A setting that was trained again with fresh seeds."""

    number: int  # of its tuning trial
    settings: Settings
    selected: Interval  # score with the tuning seeds
    fresh: Interval  # score with the fresh seeds; NaN where none has a score
    gap: Interval  # selected score - fresh score: how far the selected score is too high
    seeds: tuple[int, int]  # tuning seeds and fresh seeds with a score
    state: State  # of the runs with fresh seeds


def fresh_scores(trials: Sequence[Trial], sign: float = 1.0) -> dict[int, Floats]:
    """Finite scores with fresh seeds, of every tuning trial that was trained again: by its number."""
    tests = {trial.number: np.array(trial.scores, np.float64) for trial in trials if trial.role == "test"}
    return {number: sign * scores[np.isfinite(scores)] for number, scores in tests.items()}


def finalists(trials: Sequence[Trial], sign: float = 1.0) -> list[Finalist]:
    """The settings that were trained again, best selected score first.

    Scores, gap and their intervals have the direction in which higher is better.
    """
    made, fresh = outcomes(trials, sign), fresh_scores(trials, sign)
    states = {trial.number: trial.state for trial in trials if trial.role == "test"}
    found = []
    for place, trial in enumerate(made.trials):
        if trial.number in fresh and made.scored[place]:
            tuned, new = made.scores[place], fresh[trial.number]
            nothing = Interval(np.nan, np.nan, np.nan)
            found.append(
                Finalist(
                    trial.number, dict(trial.settings), mean_interval(tuned),
                    mean_interval(new) if len(new) else nothing, gap(tuned, new) if len(new) else nothing,
                    (len(tuned), len(new)), states[trial.number],
                )
            )  # fmt: skip
    return sorted(found, key=lambda finalist: -finalist.selected.value)


def gap(selected: Floats, fresh: Floats) -> Interval:
    """mean(selected) - mean(fresh) of S and T seeds, both drawn again for the 95 % bootstrap interval."""
    n = len(selected)
    low, high = np.nan, np.nan
    if min(n, len(fresh)) >= FEWEST:

        def difference(x: Floats, axis: int) -> Floats:
            return np.asarray(x[..., :n].mean(axis) - x[..., n:].mean(axis))

        both, strata = np.concatenate([selected, fresh]), np.repeat([0, 1], [n, len(fresh)])
        low, high = map(float, bootstrap(both, difference, strata=strata))
    return Interval(float(selected.mean() - fresh.mean()), low, high)
