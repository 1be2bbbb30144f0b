"""The learning-rate range test: the loss while the rate rises from step to step. Smith 2017, arXiv:1506.01186.

Exponential rise as in fastai (Howard & Gugger 2020). Losses are smoothed over steps before and after alike: an average
over past steps alone would show each fall too late. The valley begins and ends at a tenth of the fall, so that noise
before the fall does not move it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch

from rlgen.core.errors import Diverged, UserError
from rlgen.core.optim.optimization import Optimization, optimizations
from rlgen.core.optim.settings import SECOND_ORDER

DEVIATION = 0.02  # of the Gaussian that smooths the losses, as a share of the steps
RECENT = 5  # losses whose median, above `EXPLODED` times the lowest such median, ends the test
EXPLODED = 4.0
MARGIN = 0.1  # of the fall of the loss, at either end of the valley
FEWEST = 10  # steps of a test with a suggestion


@dataclass(frozen=True)
class Sweep:
    """Learning rates in rising order, the loss of the minibatch at each, and suggestions."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    valley: float  # in the middle of the fall of the smoothed loss
    steepest: float  # where the smoothed loss falls fastest


def sweep(
    algorithm: Any, start: float, end: float, steps: int, progress: Callable[[int], object] = lambda done: None
) -> Sweep:
    """Train `algorithm` for `steps` gradient steps with rates from `start` to `end`, or until the loss explodes.

    The weights are changed: the algorithm is of no use afterwards. Raises UserError where it has no single loss, or
    where the loss explodes within `FEWEST` steps.
    """
    optimization = _optimization(algorithm)
    rates: list[float] = []
    losses: list[float] = []
    lowest = math.inf
    for i in range(steps):
        optimization.fixed_rate = start * (end / start) ** (i / max(1, steps - 1))
        try:
            loss = _next_loss(algorithm, optimization)
        except Diverged:
            break
        if not math.isfinite(loss):
            break
        recent = median([*losses, loss][-RECENT:])
        if recent > EXPLODED * lowest:
            break
        lowest = min(lowest, abs(recent))
        rates.append(optimization.fixed_rate)
        losses.append(loss)
        progress(1)
    if len(rates) < FEWEST:
        raise UserError(
            f"the loss explodes after {len(rates)} steps, at the learning rate {optimization.fixed_rate:.2g}:"
            " begin with a smaller --start"
        )
    smoothed = smooth(losses, DEVIATION * steps)
    return Sweep(rates, losses, smoothed, rates[valley(smoothed)], rates[steepest(smoothed)])


def smooth(losses: Sequence[float], deviation: float) -> list[float]:
    """Averages of `losses` with Gaussian weights of this standard deviation, in steps."""
    steps = np.arange(len(losses))
    weights = np.exp(-(((steps[:, None] - steps) / deviation) ** 2) / 2)
    means: list[float] = (weights @ np.asarray(losses) / weights.sum(1)).tolist()
    return means


def valley(losses: Sequence[float]) -> int:
    """Index in the middle of the fall to the lowest loss, from its first tenth to its last."""
    lowest = min(losses)
    bottom = list(losses).index(lowest)
    fall = max(losses[: bottom + 1]) - lowest
    begin = max(i for i in range(bottom + 1) if losses[i] >= lowest + (1 - MARGIN) * fall)
    end = min(i for i in range(begin, bottom + 1) if losses[i] <= lowest + MARGIN * fall)
    return (begin + end) // 2


def steepest(losses: Sequence[float]) -> int:
    """Index before the largest fall from one loss to the next, up to the lowest loss."""
    lowest = max(1, list(losses).index(min(losses)))
    return min(range(lowest), key=lambda i: losses[i + 1] - losses[i])


def _next_loss(algorithm: Any, optimization: Optimization) -> float:
    """The loss of the next gradient step, a mean over seeds."""
    before, losses = optimization.steps, []
    while optimization.steps == before:
        losses.append(float(torch.as_tensor(algorithm.step()["loss"]).double().mean()))
    return sum(losses) / len(losses)


def _optimization(algorithm: Any) -> Optimization:
    """The one optimization of an algorithm. Raises UserError where the test does not apply."""
    name = type(algorithm).__name__
    found = list(optimizations(algorithm).values())
    if not found:
        raise UserError(f"{name} has no gradient step of its own, so no learning rate to find")
    if len(found) > 1:
        raise UserError(f"{name} has two networks with a loss each, of which neither falls alone: there is no test")
    if hasattr(algorithm, "target"):
        raise UserError(f"the loss of {name} follows its target network: its size says nothing about a learning rate")
    rule = found[0].settings.optimizer
    if rule in SECOND_ORDER:
        raise UserError(f"--optimizer {rule} finds the length of its steps itself: take adam or sgd")
    return found[0]
