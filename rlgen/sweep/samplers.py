"""How settings are drawn: optuna's samplers, with a seed of its own for each trial.

A sampler is made anew for each trial, from a seed that depends on the study and on the number of the trial alone
(optuna's own seeding breaks with several workers: optuna #4412), so a study of one worker is repeated exactly.
"""

import warnings
from typing import TYPE_CHECKING, Any

from rlgen.core.errors import UserError
from rlgen.core.seeds import derive, numpy_stream
from rlgen.sweep import evolution, space
from rlgen.sweep.space import Choices, Dimension, Range, Space, Value
from rlgen.sweep.study import Study
from rlgen.sweep.trials import Role

if TYPE_CHECKING:
    import optuna


def draw(study: Study, ledger: "optuna.Study", number: int) -> dict[str, Value]:
    """The settings of trial `number`, which begins in the journal."""
    dimensions = study.space
    seed = derive(study.seed, f"settings of trial {number}") % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of options that optuna calls experimental
        ledger.sampler = _sampler(study, dimensions, ledger, seed, number)
        trial = ledger.ask({name: distribution(each) for name, each in dimensions.items()})
    return {name: _plain(dimensions[name], trial.params[name]) for name in dimensions}


def distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    """The dimension in the words of optuna."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choices):
        return CategoricalDistribution(dimension.values)
    if dimension.integer:
        step = 1 if dimension.step is None else int(dimension.step)
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def seed_of(study: Study, role: Role, number: int, run: int) -> int:
    """The seed of a run of a trial: even for tuning, odd for a test, so that the two never meet."""
    return 2 * (derive(study.seed, f"{role} {number} run {run}") % 2**31) + (role == "test")


def _sampler(
    study: Study, dimensions: Space, ledger: "optuna.Study", seed: int, number: int
) -> "optuna.samplers.BaseSampler":
    import optuna.samplers as known

    if study.sampler == "grid":
        order = numpy_stream(study.seed, "order of the grid").permutation(space.size(dimensions))
        return known.PartialFixedSampler(space.point(dimensions, int(order[number - 1])), known.RandomSampler(seed))
    if study.sampler == "random":
        return known.RandomSampler(seed)
    if study.sampler == "gp":
        return known.GPSampler(seed=seed)
    if study.sampler == "cmaes":
        told = [trial for trial in ledger.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]
        return known.PartialFixedSampler(evolution.draw(dimensions, told, seed), known.RandomSampler(seed))
    return known.TPESampler(seed=seed, constant_liar=True)


def _plain(dimension: Dimension, value: Any) -> Value:
    """A value by the type of the setting: the whole numbers of a range as int."""
    if isinstance(dimension, Range):
        return int(value) if dimension.integer else float(value)
    if not isinstance(value, int | float | str | bool | None):
        raise UserError(f"the journal holds {value!r}, which is no setting")
    return value
