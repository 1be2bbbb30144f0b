"""CMA-ES over the numbers of a search space, its state computed from the trials. Hansen 2016, arXiv:1604.00772.

Optuna's sampler keeps the state as a pickle in the journal, which could run any code where a study is joined.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.sweep.space import Range, Space, Value

if TYPE_CHECKING:
    import optuna

SIGMA = 0.3  # initial standard deviation, of ranges of length 1


def draw(dimensions: Space, told: "list[optuna.trial.FrozenTrial]", seed: int) -> dict[str, Value]:
    """The numbers of the next trial, after those `told` in the order of their numbers; each generation updates once.

    A trial without a value counts as the worst one.
    """
    from cmaes import CMA

    ranges = numbers(dimensions)
    n = len(ranges)
    search = CMA(np.full(n, 0.5), SIGMA, np.tile([0.0, 1.0], (n, 1)), seed=seed)  # points of the unit cube
    points = [np.array([_inward(each, t.params[name]) for name, each in ranges.items()]) for t in told]
    values = [t.value for t in told if t.value is not None]
    losses = [-(min(values, default=0.0) if t.value is None else t.value) for t in told]
    size = search.population_size
    for first in range(0, len(told) - size + 1, size):
        search.tell(list(zip(points[first : first + size], losses[first : first + size], strict=True)))
    x: NDArray[np.float64] = search.ask()
    return {name: _outward(each, float(t)) for (name, each), t in zip(ranges.items(), x, strict=True)}


def numbers(dimensions: Space) -> dict[str, Range]:
    """The ranges of a search space."""
    return {name: each for name, each in dimensions.items() if isinstance(each, Range)}


def require(dimensions: Space) -> None:
    """Raise UserError where there are too few numbers for a covariance, or without the package cmaes."""
    try:
        import cmaes  # noqa: F401
    except ImportError:
        raise UserError("--sampler cmaes needs the package cmaes: `pip install 'rlgen[sweep]'`") from None
    if len(numbers(dimensions)) < 2:
        raise UserError("--sampler cmaes searches two ranges of numbers or more: take --sampler tpe")


def _inward(dimension: Range, value: Any) -> float:
    low, high = float(dimension.low), float(dimension.high)
    if dimension.log:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _outward(dimension: Range, t: float) -> Value:
    """The value at the share `t` of a range, of a whole number of steps where it has any."""
    low, high = dimension.low, dimension.high
    x = low * (high / low) ** t if dimension.log else low + (high - low) * t
    step = dimension.step or (1 if dimension.integer else None)
    if step is not None:
        x = low + step * min(round((x - low) / step), int((high - low) / step + 1e-9))
    x = min(max(x, low), high)
    return round(x) if dimension.integer else x
