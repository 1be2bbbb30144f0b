import math

import numpy as np
import pytest
import torch
from torch import nn

from rlgen.core.errors import Diverged, UserError
from rlgen.core.optim import Optimization
from rlgen.core.optim.find_lr import smooth, steepest, sweep, valley
from rlgen.core.optim.settings import OptimizerSettings


class Line:
    """A least-squares fit of curvature 2 by gradient descent, which diverges above the rate 1."""

    def __init__(self, **settings):
        self.module = nn.Linear(1, 1, bias=False).double()
        nn.init.constant_(self.module.weight, 5.0)
        self.optimization = Optimization(OptimizerSettings(**{"optimizer": "sgd", **settings}), self.module)
        self.rates = []

    def step(self):
        loss = self.module.weight.square().sum()
        self.rates.append(self.optimization.step(lambda: loss, 0)["lr"])
        return {"loss": loss.detach()}


def test_rates_rise_exponentially():
    algorithm = Line()
    found = sweep(algorithm, 1e-7, 1e-1, 61)
    assert found.rates == pytest.approx(np.logspace(-7, -1, 61))
    assert found.rates == algorithm.rates
    assert found.losses[0] == 25.0
    assert len(found.losses) == len(found.smoothed) == 61


def test_the_test_ends_where_the_loss_explodes():
    found = sweep(Line(), 1e-4, 1e4, 200)
    assert 1.0 < found.rates[-1] < 100.0
    assert 1e-3 < found.valley < 0.2
    assert 1e-3 < found.steepest < 0.2


def test_schedule_and_warm_up_are_left_out():
    algorithm = Line(schedule="linear", warmup=50)
    assert sweep(algorithm, 1e-7, 1e-2, 20).rates == algorithm.rates


def test_every_gradient_step_of_an_accumulation_has_a_rate():
    algorithm = Line(accumulate=3)
    assert len(sweep(algorithm, 1e-6, 1e-2, 20).rates) == 20
    assert len(algorithm.rates) == 60


def curve(noise=0.0):
    """A loss of 3 that falls to 1 between steps 40 and 60 of 100, and then rises."""
    steps = np.arange(100)
    values = 3 - 2 / (1 + np.exp(-(steps - 50) / 3)) + np.maximum(0, steps - 80) ** 2 / 10
    return list(values + noise * np.random.default_rng(0).normal(size=100))


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_valley_and_steepest_are_in_the_middle_of_the_fall(noise):
    smoothed = smooth(curve(noise), 2.0)
    assert 47 <= valley(smoothed) <= 53
    assert 45 <= steepest(smoothed) <= 55


def test_a_fall_after_the_explosion_is_not_the_steepest():
    assert steepest([3.0, 2.9, 2.0, 1.9, 9.0, 4.0]) == 1


def test_smoothing_keeps_a_constant_and_a_line():
    assert smooth([2.0] * 10, 2.0) == pytest.approx([2.0] * 10)
    assert smooth(list(range(50)), 2.0)[10:40] == pytest.approx(list(range(10, 40)), abs=1e-3)


def test_a_loss_that_explodes_at_once_is_refused():
    with pytest.raises(UserError, match=r"explodes after \d steps, at the learning rate .*: begin with a smaller"):
        sweep(Line(), 10.0, 1e3, 50)


@pytest.mark.parametrize("end", ["diverged", "nan"])
def test_a_loss_that_is_not_finite_ends_the_test(end):
    class Ending(Line):
        def step(self):
            if len(self.rates) == 15:
                if end == "diverged":
                    raise Diverged("the loss is nan")
                super().step()
                return {"loss": torch.tensor(math.nan)}
            return super().step()

    assert len(sweep(Ending(), 1e-7, 1e-2, 50).rates) == 15


def test_what_has_no_single_loss_is_refused():
    class Two(Line):
        def __init__(self):
            super().__init__()
            self.other = self.optimization

    class Bootstrapping(Line):
        target = None

    with pytest.raises(UserError, match="Two has two networks"):
        sweep(Two(), 1e-7, 1.0, 50)
    with pytest.raises(UserError, match="object has no gradient step"):
        sweep(object.__new__(type("object", (), {})), 1e-7, 1.0, 50)
    with pytest.raises(UserError, match="the loss of Bootstrapping follows its target network"):
        sweep(Bootstrapping(), 1e-7, 1.0, 50)
    with pytest.raises(UserError, match="--optimizer lbfgs finds the length of its steps itself"):
        sweep(Line(optimizer="lbfgs"), 1e-7, 1.0, 50)
