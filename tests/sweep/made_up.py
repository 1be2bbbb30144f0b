"""Tables of trials whose true scores are known."""

from pathlib import Path

import numpy as np

from rlgen.sweep.analysis.held_out import fresh_scores
from rlgen.sweep.analysis.outcomes import mean_scores, outcomes
from rlgen.sweep.analysis.settings import varied
from rlgen.sweep.space import Choices, Range
from rlgen.sweep.trials import Trial

SPACE = {
    "lr": Range(1e-4, 1e-2, log=True),
    "n_step": Choices((1, 3, 5)),
    "double": Choices((True, False)),
    "gamma": Range(0.9, 0.999),
}


def trial(number, scores=(), state="complete", seconds=1.0, role="tuning", **settings):
    """One trial."""
    first = 0 if role == "tuning" else 1_000
    return Trial(number, settings, state, tuple(scores), seconds, role, tuple(range(first, first + 4)), Path())


def truth(settings):
    """The expected score: `gamma` has no effect, lr is best at 1e-3, n_step at 3."""
    return -20 * abs(np.log10(settings["lr"]) + 3) - 5 * abs(settings["n_step"] - 3) - 8 * settings["double"]


def study(n=60, seeds=4, noise=2.0, tests=3, limit=7e-3, seed=0):
    """`n` random trials, diverged with an lr above `limit`, and the best few with eight fresh seeds each."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(1, n + 1):
        settings = {
            "lr": float(10 ** random.uniform(-4, -2)),
            "n_step": int(random.choice([1, 3, 5])),
            "double": bool(random.integers(2)),
            "gamma": float(random.uniform(0.9, 0.999)),
        }
        scores = truth(settings) + noise * random.normal(size=seeds)
        broken = settings["lr"] > limit
        state = "diverged" if broken else "complete"
        made.append(trial(number, () if broken else scores, state, random.uniform(20, 60), **settings))
    best = sorted((t for t in made if t.scores), key=lambda t: -np.mean(t.scores))[:tests]
    for found in best:
        scores = truth(found.settings) + noise * random.normal(size=8)
        made.append(trial(found.number, scores, "complete", 100.0, "test", **found.settings))
    return made


def table(trials, space=SPACE):
    """Settings, their values in each trial, the scores of the trials, and the place of the best one."""
    made = outcomes(trials)
    rows = [found.settings for found in made.trials]
    return varied(space, rows), rows, mean_scores(made, fresh_scores(trials)), made.best
