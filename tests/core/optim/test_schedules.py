import math

import numpy as np
import pytest

from rlgen.core.optim.schedules import Plateau, learning_rate, warmup
from rlgen.core.optim.settings import OptimizerSettings


def rates(times, length=100, **settings):
    config = OptimizerSettings(lr=1.0, **settings)
    return [learning_rate(config, length, time) for time in times]


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_constant(schedule):
    assert rates([0, 50, 1_000], schedule=schedule) == [1.0, 1.0, 1.0]


def test_step_drops_at_each_milestone():
    times = [0, 29, 30, 59, 60, 80, 500]
    expected = [1, 1, 0.2, 0.2, 0.04, 0.008, 0.008]
    assert rates(times, schedule="step", milestones="0.3,0.6,0.8", lr_factor=0.2) == pytest.approx(expected)


@pytest.mark.parametrize(("end", "last"), [(None, 0.01), (0.3, 0.3)])
def test_schedules_with_an_end(end, last):
    times, t = [0, 25, 50, 100, 10**9], np.array([0, 0.25, 0.5, 1, 1])
    assert rates(times, schedule="linear", lr_end=end) == pytest.approx(1 + (last - 1) * t)
    assert rates(times, schedule="cosine", lr_end=end) == pytest.approx(
        last + (1 - last) * (1 + np.cos(math.pi * t)) / 2
    )
    assert rates(times, schedule="exponential", lr_end=end) == pytest.approx(last**t)


def test_one_cycle_rises_to_the_learning_rate_and_falls():
    found = rates(range(102), schedule="one-cycle", peak=0.25, lr_end=0.0)
    assert found[0] == pytest.approx(1 / 25)
    assert np.argmax(found) == 25
    assert found[25] == 1.0
    assert (np.diff(found[:26]) > 0).all()
    assert (np.diff(found[25:101]) < 0).all()
    assert found[100] == found[101] == 0.0


def test_warm_up_counts_gradient_steps():
    config = OptimizerSettings(warmup=4)
    assert [warmup(config, step) for step in (1, 2, 3, 4, 99)] == [0.5, 0.75, 1.0, 1.0, 1.0]
    assert warmup(OptimizerSettings(), 1) == 1.0


def test_plateau_lowers_the_rate_after_evaluations_without_improvement():
    plateau, factors = Plateau(0.5, 2), []
    for score in (0.1, 0.2, 0.15, 0.2, 0.3, 0.3, 0.1, 0.0, 0.0, math.nan):
        plateau.update(score)
        factors.append(plateau.factor)
    assert factors == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def test_plateau_with_negative_scores():
    plateau = Plateau(0.5, 1)
    plateau.update(-2.0)
    plateau.update(-1.0)
    assert plateau.factor == 1.0
    plateau.update(-1.0)
    assert plateau.factor == 0.5


def test_the_count_of_a_plateau_is_state():
    plateau, resumed = Plateau(0.5, 3), Plateau(0.5, 3)
    for score in (1.0, 0.5, 0.5):
        plateau.update(score)
    resumed.load_state_dict(plateau.state_dict())
    resumed.update(0.5)
    assert resumed.factor == 0.5


@pytest.mark.parametrize("text", ["", "0.5,", "0,0.5", "0.5,1", "0.7,0.5", "a"])
def test_milestones_are_rising_shares(text):
    with pytest.raises(ValueError, match="rising shares between 0 and 1, such as"):
        OptimizerSettings(milestones=text)


def test_a_better_score_begins_the_count_anew():
    plateau = Plateau(0.5, 2)
    for score in (0.2, 0.1, 0.3, 0.1):
        plateau.update(score)
    assert plateau.factor == 1.0
    plateau.update(0.1)
    assert plateau.factor == 0.5
