import math

import numpy as np
import pytest

from rlgen.lessons.estimates import Estimate, band, quantile


def area(t, freedom, steps=200_001):
    """P(|T| < t) by the trapezoidal rule over the density of Student's T."""
    x = np.linspace(-t, t, steps)
    constant = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    return float(np.trapezoid(constant * (1 + x**2 / freedom) ** (-(freedom + 1) / 2), x))


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 50])
def test_the_quantile_is_that_of_the_density(freedom):
    assert area(quantile(freedom), freedom) == pytest.approx(0.95, abs=1e-6)


def test_the_interval_covers_the_mean_in_95_of_100_experiments():
    draw = np.random.default_rng(0)
    estimates = [Estimate(draw.normal(3, 2, size=3)) for _ in range(2_000)]
    share = np.mean([e.low < 3 < e.high for e in estimates])
    assert share == pytest.approx(0.95, abs=0.015)


def test_the_interval_by_hand():
    estimate = Estimate(np.array([1.0, 2.0, 6.0]))
    deviation = math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 2)
    assert estimate.mean == 3
    assert estimate.half == pytest.approx(4.302653 * deviation / math.sqrt(3), rel=1e-6)
    assert estimate.high - estimate.mean == pytest.approx(estimate.mean - estimate.low)


def test_differences_are_taken_seed_by_seed():
    one, other = Estimate(np.array([10.0, 20.0, 33.0])), Estimate(np.array([9.0, 19.0, 31.9]))
    assert (one - other).values.tolist() == pytest.approx([1, 1, 1.1])
    assert (one - other).side(0) == 1
    assert (other - one).side(0) == -1
    assert one.side(0) == 0  # the seeds differ far more than the pairs do
    assert (one / other).values.tolist() == pytest.approx([10 / 9, 20 / 19, 33 / 31.9])


def test_an_experiment_of_fewer_seeds_is_compared_on_those():
    difference = Estimate(np.array([1.0, 2.0, 3.0])) - Estimate(np.array([0.0, 0.0]))
    assert difference.values.tolist() == [1, 2]


def test_one_seed_decides_nothing_and_an_exact_number_everything():
    assert Estimate(np.array([5.0])).side(0) == 0
    exact = Estimate(np.array([5.0]), exact=True)
    assert (exact.low, exact.high, exact.side(4.9), exact.side(5.1)) == (5, 5, 1, -1)
    assert (Estimate(np.array([6.0, 7.0])) - exact).values.tolist() == [1, 2]


def test_a_diverged_seed_leaves_the_question_open():
    estimate = Estimate(np.array([5.0, np.nan, 5.0]))
    assert (estimate.side(0), estimate.diverged) == (0, 1)


def test_a_logarithmic_estimate_has_a_geometric_mean():
    estimate = Estimate(np.array([1e-6, 1e-4]), log=True)
    assert estimate.mean == pytest.approx(1e-5)
    assert 0 < estimate.low < 1e-6
    assert estimate.high / estimate.mean == pytest.approx(estimate.mean / estimate.low)


def test_a_band_is_the_interval_at_each_point():
    curves = np.array([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]])
    mean, low, high = band(curves)
    point = Estimate(curves[0])
    assert (mean[0], low[0], high[0]) == pytest.approx((point.mean, point.low, point.high))
    assert (mean[1], low[1], high[1]) == (0, 0, 0)
    assert [part.tolist() for part in band(np.array([[3.0]]))] == [[3], [3], [3]]
