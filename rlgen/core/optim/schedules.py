"""The course of the learning rate over a run.

Cosine: Loshchilov & Hutter 2017, arXiv:1608.03983. One-cycle: Smith & Topin 2018, arXiv:1708.07120. Warm-up: Goyal et
al. 2017, arXiv:1706.02677.
"""

import math

from rlgen.core.optim.settings import OptimizerSettings, shares
from rlgen.core.schedule import cosine, linear
from rlgen.core.state import Stateful

FINAL = 0.01  # learning rate at the end of a schedule, as a share of the one at the start, where none is given
START = 0.04  # learning rate at the start of one-cycle, as a share of its maximum
MIN_GAIN = 1e-4  # relative improvement of a score below which it counts as none


def learning_rate(settings: OptimizerSettings, length: int, time: int) -> float:
    """The learning rate at `time` of a schedule over `length` environment steps or images, constant after its end.

    Warm-up and the drops of plateau are apart from it.
    """
    start, rule = settings.rate, settings.schedule
    if rule in ("constant", "plateau"):
        return start
    if rule == "step":  # start · factor^(number of milestones passed)
        passed = sum(time >= share * length for share in shares(settings.milestones))
        return float(start * settings.lr_factor**passed)
    end = FINAL * start if settings.lr_end is None else settings.lr_end
    if rule == "linear":
        return linear(start, end, length, time)
    if rule == "cosine":
        return cosine(start, end, length, time)
    if rule == "exponential":  # start · (end / start)^(time / length)
        return float(start * (end / start) ** min(1.0, time / length))
    top = max(1, round(settings.peak * length))
    return cosine(START * start, start, top, time) if time < top else cosine(start, end, length - top, time - top)


def warmup(settings: OptimizerSettings, steps: int) -> float:
    """Factor of the learning rate at gradient step number `steps` = 1, 2, ...: (steps + 1) / warm-up, at most 1."""
    return min(1.0, (steps + 1) / settings.warmup) if settings.warmup else 1.0


class Plateau(Stateful):
    """A factor of the learning rate, lowered after `patience` evaluations in a row without a better score."""

    state = ("factor", "best", "waited")

    def __init__(self, factor: float, patience: int) -> None:
        self.drop, self.patience = factor, patience
        self.factor = 1.0
        self.best: float | None = None  # highest score so far
        self.waited = 0  # evaluations since the highest score

    def update(self, score: float) -> None:
        """Take in the score of an evaluation, higher being better."""
        if not math.isfinite(score):
            return
        if self.best is None or score > self.best + MIN_GAIN * abs(self.best):
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.factor, self.waited = self.factor * self.drop, 0
