"""Vertical scales hold every value and have ticks that can be read."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from rlgen.report import scales


def fitted(scale, values):
    axes = Figure().subplots()
    scales.fit(axes, scale, np.array(values, float))
    return axes


def heights(axes, values):
    """Where the values stand, 0 at the lower and 1 at the upper end of the axis."""
    points = axes.transData.transform([(0, value) for value in values])
    return axes.transAxes.inverted().transform(points)[:, 1]


def labels(axes):
    return [tick.get_text() for tick in axes.get_yticklabels()]


@pytest.mark.parametrize("scale", ["linear", "log", "accuracy"])
@pytest.mark.parametrize("values", [(0.1, 0.5, 0.992), (0.3, 0.3), (0.97, 0.9999)])
def test_every_value_is_inside(scale, values):
    found = heights(fitted(scale, values), values)
    assert (found > 0.02).all()
    assert (found < 0.98).all()
    assert (np.diff(found) >= 0).all()


def test_accuracies_near_one_are_spread():
    axes = fitted("accuracy", [0.1, 0.9, 0.99, 0.999])
    first, second, third = np.diff(heights(axes, [0.1, 0.9, 0.99, 0.999]))
    assert second == pytest.approx(third)
    assert second == pytest.approx(first, rel=0.1)
    assert labels(axes) == ["0 %", "50 %", "80 %", "90 %", "95 %", "98 %", "99 %", "99.5 %", "99.8 %", "99.9 %"]


def test_an_accuracy_of_one_has_a_place_above_all_others():
    axes = fitted("accuracy", [0.5, 0.99, 1.0])
    low, high, top = heights(axes, [0.5, 0.99, 1.0])
    assert low < high < top < 0.98
    assert labels(axes)[-1] == "100 %"
    assert "99.5 %" not in labels(axes)


def test_the_rounding_of_a_mean_is_no_error():
    axes = fitted("accuracy", [0.5, 0.99, 1 - 1e-12])
    assert labels(axes) == labels(fitted("accuracy", [0.5, 0.99, 1.0]))
    assert heights(axes, [0.99])[0] > 0.5


def test_perfect_from_the_start():
    axes = fitted("accuracy", [1.0, 1.0])
    assert 0 < heights(axes, [1.0])[0] < 1
    assert labels(axes) == ["100 %"]


def test_losses_by_powers_of_ten():
    axes = fitted("log", [2.3, 0.1, 0.02])
    assert labels(axes) == ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]
    assert labels(fitted("log", [10.0, 1e-4])) == ["0.0001", "0.001", "0.01", "0.1", "1", "10"]


@pytest.mark.parametrize(
    ("scale", "values", "wanted"),
    [
        ("accuracy", [0.08, 0.19], ["7.5 %", "10 %", "12.5 %", "15 %", "17.5 %"]),
        ("accuracy", [0.991, 0.993], ["99.1 %", "99.15 %", "99.2 %", "99.25 %", "99.3 %"]),
        ("log", [2.1, 3.4], ["2.1", "2.4", "2.7", "3", "3.3"]),
    ],
)
def test_a_narrow_range_has_ticks(scale, values, wanted):
    assert labels(fitted(scale, values)) == wanted


def test_zeros_do_not_stretch_a_logarithmic_axis():
    axes = fitted("log", [0.0, 0.5, 1.0])
    assert axes.get_ylim()[0] > 0.4
    assert fitted("log", [0.0, 0.0]).get_yscale() == "linear"


def test_many_powers_of_ten_have_few_ticks():
    assert 6 <= len(labels(fitted("log", [1e-40, 1e40]))) <= 12
