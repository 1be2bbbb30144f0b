"""The finished tuning trials of a study as arrays, and the interval in which every result is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.report.statistics import Floats, bootstrap
from rlgen.sweep.trials import Trial

Places = NDArray[np.intp]  # of trials in a table

FEWEST = 4  # values from which on there is an interval
FINISHED = ("complete", "failed", "diverged", "pruned")  # states of trials that have cost what they will cost


@dataclass(frozen=True)
class Interval:
    """An estimate, and the ends of its 95 % interval: NaN where there are too few values."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Outcomes:
    """n finished tuning trials by number: what each one scored with S seeds, and its cost.

    A failed, diverged or pruned trial has no score, which is NaN, and costs what it has cost.
    """

    trials: tuple[Trial, ...]
    scores: Floats  # (n, S), higher is better
    seconds: Floats  # (n,) CPU-seconds

    @property
    def scored(self) -> NDArray[np.bool_]:
        """(n,): whether a trial has a score with every seed."""
        return np.asarray(np.isfinite(self.scores).all(axis=1))

    @property
    def best(self) -> int:
        """Place of the trial with the highest mean score, the earliest of equals."""
        return int(ranking(self.scores.mean(axis=1))[0])


def outcomes(trials: Sequence[Trial], sign: float = 1.0) -> Outcomes:
    """The finished tuning trials of a study; `sign` is -1 where a lower score is better.

    A complete trial with fewer scores than others, or one that is not finite, counts as failed. Raises UserError where
    no trial has a score.
    """
    found = sorted((t for t in trials if t.role == "tuning" and t.state in FINISHED), key=lambda trial: trial.number)
    seeds = max((len(trial.scores) for trial in found if trial.state == "complete"), default=0)
    scores = np.full((len(found), seeds), np.nan)
    for i, trial in enumerate(found):
        if trial.state == "complete" and len(trial.scores) == seeds and np.isfinite(trial.scores).all():
            scores[i] = sign * np.asarray(trial.scores)
    made = Outcomes(tuple(found), scores, np.array([trial.seconds for trial in found], np.float64))
    if not seeds or not made.scored.any():
        raise UserError(f"no trial of {len(found):,} finished ones has a score: nothing to report yet")
    return made


def mean_scores(outcomes: Outcomes, fresh: Mapping[int, Floats]) -> tuple[Floats, Floats]:
    """The score of each trial (n,) and its variance (n,): of its `fresh` seeds by its number, if any, else of its own.

    Selection has made the best of its own scores too high. A trial without a score counts as the worst that has one.
    The variance of a mean over few seeds is half that of its own seeds, half that of the seeds of all trials; it is
    zero with one seed per trial.
    """
    own = zip(outcomes.trials, outcomes.scores, strict=True)
    scores = [fresh[trial.number] if len(fresh.get(trial.number, ())) else row for trial, row in own]
    means = np.array([np.mean(each) for each in scores])
    counts = np.array([len(each) for each in scores])
    variances = np.array([np.var(each, ddof=1) if len(each) > 1 else np.nan for each in scores])
    known = np.isfinite(variances)
    pooled = float(variances[known].mean()) if known.any() else 0.0
    return np.where(np.isnan(means), np.nanmin(means), means), np.where(
        known, (variances + pooled) / 2, pooled
    ) / counts


def ranking(values: Floats) -> Places:
    """Places of `values` (n,) from the best to the worst, the earliest of equals first; NaN is worst of all."""
    return np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")


def mean_interval(values: Floats) -> Interval:
    """Mean and 95 % bootstrap interval of the scores of some seeds."""
    low, high = bootstrap(values) if len(values) >= FEWEST else (np.nan, np.nan)
    return Interval(float(np.mean(values)), float(low), float(high))
