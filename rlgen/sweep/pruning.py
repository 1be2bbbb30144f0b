"""The end of a trial before its budget, where others did better by then. Pruning is off unless it is asked for.

It may hurt in reinforcement learning, where late learners win (Hertel 2020, arXiv:2007.02700).
"""

import warnings
from collections.abc import Mapping
from typing import Any

from rlgen.core.errors import UserError
from rlgen.core.run import Run
from rlgen.sweep import ledger, trials
from rlgen.sweep.claims import Claim
from rlgen.sweep.study import Study


class Pruned(UserError):
    """A trial is ended early."""


class Pruning:
    """Reports the evaluations of a run to the journal. Called with each row; raises Pruned."""

    def __init__(self, study: Study, claim: Claim, run: Run) -> None:
        self.study, self.number, self.run = study, claim.number, run

    def __call__(self, time: int, row: Mapping[str, Any]) -> None:
        """Take in a row of metrics."""
        score = _score(self.study, row)
        if not time or score is None:
            return
        import optuna

        with ledger.opened(self.study) as (journal, _), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a row that was reported before the trial was taken up again
            identifier = journal.get_trials(deepcopy=False)[self.number - 1]._trial_id
            trial = optuna.Trial(journal, identifier)
            trial.report(score, time)
            prune = trial.should_prune()
        if prune:
            reason = f"pruned at {time:,} by {self.study.pruner}"
            trials.keep(self.run.directory, state="pruned", reason=reason)
            raise Pruned(reason)


def _score(study: Study, row: Mapping[str, Any]) -> float | None:
    """The score of an evaluation, higher being better; None for another row."""
    kind = study.entry.kind
    names = (study.metric,) if study.metric else (*kind.ranking, study.entry.algorithm.score)
    name = next((name for name in names if name in row), None)
    if name is None:
        return None
    values = [x for x in (row[name] if isinstance(row[name], list) else [row[name]]) if x is not None]
    if not values:
        return None
    mean = float(sum(values) / len(values))
    return -mean if trials.direction(kind, name) == "lower" else mean
