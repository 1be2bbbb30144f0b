"""Searched settings as numbers, and the scores of trials."""

import numpy as np
import pytest

from rlgen.sweep.analysis.outcomes import outcomes
from rlgen.sweep.analysis.settings import encode, places, varied
from rlgen.sweep.space import Choices, Range
from tests.sweep.made_up import table, trial


def test_settings_of_one_value_are_left_out():
    rows = [{"a": 1, "b": "x", "c": None, "d": True}, {"a": 1, "b": "y", "c": 2, "d": False}]
    space = {"a": Choices((1, 2)), "b": Choices(("x", "y", "z")), "c": Choices((None, 2)), "d": Choices((True, False))}
    found = varied(space, rows)
    assert [(setting.name, setting.is_number) for setting in found] == [("b", False), ("c", False), ("d", False)]
    assert encode(found, rows).tolist() == [[1, 0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 1, 0, 1]]
    assert places(found, found[1]) == slice(3, 5)


@pytest.mark.parametrize(
    "row", [{}, {"a": 9, "b": 0.5}, {"a": 1, "b": "high"}, {"a": 1, "b": 2.0}, {"a": 2, "b": None}]
)
def test_a_setting_that_is_not_of_the_space_is_left_out(row):
    space = {"a": Choices((1, 2)), "b": Range(0.0, 1.0)}
    found = [setting.name for setting in varied(space, [{"a": 1, "b": 0.5}, {"a": 2, "b": 0.1}, row])]
    assert found == [name for name, values in (("a", [1, 2]), ("b", [0.5])) if row.get(name) in values]


def test_numbers_are_between_0_and_1_on_their_scale():
    space = {"lr": Range(1e-4, 1e-2, log=True), "n": Choices((8, 1, 100)), "g": Range(0.5, 1.0)}
    rows = [{"lr": 1e-3, "n": 100, "g": 0.5}, {"lr": 1e-4, "n": 1, "g": 0.75}]
    found = varied(space, rows)
    assert encode(found, rows) == pytest.approx(np.array([[0.5, 1, 0], [0, 0, 0.5]]))
    assert found[1].values == (1, 8, 100)
    assert found[1].is_log
    assert np.diff(np.log10(found[0].values)) == pytest.approx(0.1)


def test_integers_of_a_range_are_integers():
    (found,) = varied({"a": Range(1, 5, integer=True)}, [{"a": 1}, {"a": 4}])
    assert found.values == (1, 2, 3, 4, 5)


def test_fresh_scores_replace_those_of_the_selection():
    trials = [trial(1, [10.0] * 4, a=0.0), *(trial(i, [0.0] * 4, a=1.0) for i in range(2, 5))]
    space = {"a": Choices((0.0, 1.0))}
    assert table(trials, space)[2].tolist() == [10, 0, 0, 0]
    assert table([*trials, trial(1, [1.0, 3.0], role="test", a=0.0)], space)[2].tolist() == [2, 0, 0, 0]
    assert table([*trials, trial(1, [], "failed", role="test", a=0.0)], space)[2].tolist() == [10, 0, 0, 0]


def test_a_broken_trial_counts_as_the_worst():
    trials = [trial(1, [3.0], a=0.0), trial(2, [1.0], a=1.0), trial(3, (), "diverged", a=1.0)]
    assert table(trials, {"a": Choices((0.0, 1.0))})[2].tolist() == [3, 1, 1]


def test_the_variance_of_a_score_is_half_its_own():
    """Variances 8 and 0 of two seeds, 4 in the mean; one fresh seed has none, and broken trials neither."""
    space = {"a": Choices((0.0, 1.0))}
    trials = [trial(1, [0.0, 4.0], a=0.0), trial(2, [1.0, 1.0], a=1.0), trial(3, [], "failed", a=1.0)]
    assert table(trials, space)[3].tolist() == [(8 + 4) / 2 / 2, (0 + 4) / 2 / 2, 4 / 2]
    assert table([*trials, trial(2, [1.0], role="test", a=1.0)], space)[3].tolist() == [4, 8 / 1, 4]
    assert table([trial(1, [1.0], a=0.0), trial(2, [2.0], a=1.0)], space)[3].tolist() == [0, 0]


def test_one_seed_that_is_missing_or_not_finite_is_a_failure():
    made = outcomes([trial(1, [1.0, 2.0]), trial(2, [9.0]), trial(3, [9.0, np.inf]), trial(4, [0.0, 1.0])])
    assert made.scored.tolist() == [True, False, False, True]
    assert made.trials[made.best].number == 1
    assert outcomes([trial(1, [1.0]), trial(2, [2.0])], sign=-1).best == 0
