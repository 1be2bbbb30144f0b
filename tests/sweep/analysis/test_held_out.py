"""Selected and fresh scores, and their gap."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from rlgen.sweep.analysis.held_out import finalists, fresh_scores, gap
from tests.sweep.made_up import trial


def test_the_selected_and_the_fresh_score_of_each_finalist():
    trials = [
        trial(1, [4.0, 6.0], lr=0.1), trial(2, [7.0, 9.0], lr=0.2), trial(3, [1.0, 1.0], lr=0.3),
        trial(1, [5.0, 5.0, 5.0], role="test", lr=0.1), trial(2, [6.0], "diverged", role="test", lr=0.2),
    ]  # fmt: skip
    best, second = finalists(trials)
    assert (best.number, best.selected.value, best.fresh.value, best.gap.value) == (2, 8.0, 6.0, 2.0)
    assert (best.settings, best.seeds, best.state) == ({"lr": 0.2}, (2, 1), "diverged")
    assert (second.number, second.gap.value, second.state) == (1, 0.0, "complete")
    assert np.isnan(best.gap.low)  # one seed has no interval


def test_where_lower_is_better_a_selected_score_that_is_too_low_is_a_gap_above_zero():
    trials = [trial(1, [1.0, 1.0]), trial(2, [3.0, 3.0]), trial(1, [2.0], role="test"), trial(2, [3.0], role="test")]
    best, _ = finalists(trials, sign=-1.0)
    assert (best.number, best.gap.value, best.selected.value) == (1, 1.0, -1.0)


def test_tests_without_a_score_are_finalists_without_a_gap():
    (only,) = finalists([trial(1, [1.0]), trial(1, (), "failed", role="test")])
    assert np.isnan([only.fresh.value, only.gap.value]).all()
    assert only.seeds == (1, 0)
    assert finalists([trial(1, [1.0])]) == []
    assert fresh_scores([trial(1, [2.0, np.nan], role="test")], -1.0)[1].tolist() == [-2.0]


def test_the_interval_of_the_gap_is_about_that_of_students_t():
    random = np.random.default_rng(0)
    selected, fresh = random.normal(1, 1, size=60), random.normal(0, 3, size=80)
    found = gap(selected, fresh)
    expected = ttest_ind(selected, fresh, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.1)
    assert found.value == pytest.approx(selected.mean() - fresh.mean())


def test_the_winner_of_pure_noise_has_a_gap():
    random = np.random.default_rng(0)
    trials = [trial(i, random.normal(size=4)) for i in range(1, 51)]
    best = max(trials, key=lambda t: np.mean(t.scores))
    (found,) = finalists([*trials, trial(best.number, random.normal(size=20), role="test")])
    assert found.gap.low > 0
