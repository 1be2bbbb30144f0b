"""Studies whose true scores are known: as tables of trials, and as folders of runs that nobody has trained."""

from pathlib import Path

import numpy as np

from rlgen.core import seal
from rlgen.sweep import study as studies
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
    """Settings, their values in each trial, scores, variances, and the place of the best one."""
    made = outcomes(trials)
    rows = [found.settings for found in made.trials]
    return varied(space, rows), rows, *mean_scores(made, fresh_scores(trials)), made.best


SEARCH = {"lr": "1e-4..1e-2:log", "n_step": "1,3,5", "double": "on,off", "gamma": "0.9..0.999"}


def folder(runs, found, algorithm="dqn", task="CartPole-v1", search=None, **options):
    """A study folder in `runs` with a run per trial; returns it."""
    tuned = sum(t.role == "tuning" for t in found)
    given = {"sampler": "random", "trials": tuned, **options}
    study = studies.Study(runs / "made-up", algorithm, task, search or SEARCH, **given)
    runs.mkdir(exist_ok=True)
    studies.create(study)
    for each in found:
        of_test = each.role == "test"
        title = f"test-{each.number:04d}-1" if of_test else f"trial-{each.number:04d}"
        claim = {"number": each.number, "settings": each.settings, "role": each.role, "run": 1, "runs": 1}
        status = {"complete": "finished"}.get(each.state, each.state)
        scores = [float(score) for score in each.scores]
        metrics = {"score": scores[:1], "per_seed": [scores]} if algorithm == "dqn" else {"eval_nats": [scores]}
        info = {
            "name": title, "created": "2026-01-01T00:00:00+00:00", "status": status, "algorithm": algorithm,
            "task": task, "kind": study.entry.kind.name, "plan": {"budget": 100}, "time": 100,
            "best": max(scores, default=None), "trial": {**claim, "seeds": list(each.seeds)},
            "result": {name: values[0] for name, values in metrics.items() if scores},
        }  # fmt: skip
        kept = {"seconds": each.seconds, **({"state": "failed"} if each.state == "failed" else {})}
        (study.folder / title).mkdir()
        for name, content in (("run.json", {"schema": 1, **info}), ("trial.json", kept)):
            (study.folder / title / name).write_bytes(seal.dump(content))
    return study.folder
