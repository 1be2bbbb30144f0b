"""Statistics of few runs against slow oracles and scipy."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from rlgen.report.statistics import bootstrap, first_reached, improvement, improvement_interval, iqm, mean_height


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 30])
def test_iqm_is_scipys_trimmed_mean(n):
    x = np.random.default_rng(n).normal(size=(6, n))
    assert iqm(x) == pytest.approx(trim_mean(x, 0.25, axis=1))
    assert iqm(x.T, axis=0) == pytest.approx(trim_mean(x, 0.25, axis=1))


def test_iqm_ignores_outliers_but_never_a_diverged_run():
    assert iqm([1, 2, 3, 1e9]) == 2.5
    assert np.isnan(iqm([1, 2, 3, np.nan]))
    with pytest.raises(ValueError, match="no values"):
        iqm([])


@pytest.mark.parametrize("statistic", [np.mean, iqm])
def test_constants_have_an_interval_of_no_width(statistic):
    low, high = bootstrap(np.full((3, 5), 7.0), statistic)
    assert low == pytest.approx([7, 7, 7])
    assert high == pytest.approx([7, 7, 7])


@pytest.mark.parametrize("statistic", [np.mean, iqm])
def test_intervals_cover_the_true_centre_as_often_as_they_say(statistic):
    x = np.random.default_rng(0).normal(3, 2, size=(500, 100))
    low, high = bootstrap(x, statistic, repeats=1000)
    assert 0.92 < np.mean((low < 3) & (high > 3)) < 0.97
    low, high = bootstrap(x, statistic, repeats=1000, level=0.5)
    assert 0.45 < np.mean((low < 3) & (high > 3)) < 0.55


def test_the_width_is_the_standard_error():
    x = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap(x)
    assert high - low == pytest.approx(2 * 1.96 * x.std() / np.sqrt(400), rel=0.1)


def test_along_an_axis_as_column_by_column_and_repeatable():
    x = np.random.default_rng(0).normal(size=(5, 8))
    low, high = bootstrap(x, axis=0)
    assert low.shape == (8,)
    assert (low[3], high[3]) == pytest.approx(bootstrap(x[:, 3]))
    assert bootstrap(x[:, 3], seed=1) != bootstrap(x[:, 3])


# Strata, improvement, curves


def slow_bootstrap(x, strata, repeats, seed):
    """Draws of one value after the other, from those of the same stratum."""
    random = np.random.default_rng(seed)
    means = []
    for _ in range(repeats):
        drawn = []
        for label in sorted(set(strata)):
            members = [value for value, other in zip(x, strata, strict=True) if other == label]
            drawn += [members[int(random.integers(len(members)))] for _ in members]
        means.append(sum(drawn) / len(drawn))
    return np.quantile(means, [0.025, 0.975])


def test_strata_are_drawn_apart():
    x, strata = [1.0, 2.0, 3.0, 101.0, 103.0, 104.0, 105.0], [0, 0, 0, 1, 1, 1, 1]
    assert bootstrap(x, strata=strata, repeats=4_000) == pytest.approx(slow_bootstrap(x, strata, 4_000, 1), abs=0.15)
    low, high = bootstrap(x, repeats=4_000)
    assert high - low > 50  # across strata it would be this wide
    assert bootstrap(x, iqm, strata=[0] * 7) == pytest.approx(bootstrap(x, iqm))
    assert bootstrap([1.0, 5.0], strata=[0, 1]) == pytest.approx((3.0, 3.0))


def test_the_mean_is_drawn_as_any_other_statistic():
    x = np.random.default_rng(0).normal(size=(4, 6))
    assert np.array(bootstrap(x)) == pytest.approx(np.array(bootstrap(x, lambda y, axis: np.mean(y, axis))))


def slow_improvement(pairs):
    """Every pair of runs in turn."""
    tasks = []
    for x, y in pairs:
        wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in x for b in y]
        tasks.append(sum(wins) / len(wins))
    return sum(tasks) / len(tasks)


@pytest.mark.parametrize("seed", range(5))
def test_improvement_counts_every_pair_and_ties_half(seed):
    random = np.random.default_rng(seed)
    pairs = [(random.integers(5, size=n).tolist(), random.integers(5, size=m).tolist()) for n, m in ((4, 3), (1, 6))]
    assert improvement(pairs) == pytest.approx(slow_improvement(pairs))
    assert improvement([(y, x) for x, y in pairs]) == pytest.approx(1 - slow_improvement(pairs))


def test_improvement_is_the_mann_whitney_statistic():
    random = np.random.default_rng(0)
    x, y = random.normal(size=9), random.normal(size=7)
    assert improvement([(x, y)]) == pytest.approx(mannwhitneyu(x, y).statistic / 63)


def test_the_interval_of_improvement_draws_both_groups_of_each_task():
    random = np.random.default_rng(3)
    pairs = [(random.normal(0.5, 1, 6), random.normal(0, 1, 5)), (random.normal(1, 1, 4), random.normal(0, 1, 8))]
    again = []
    for _ in range(3_000):
        drawn = [(random.choice(x, len(x)), random.choice(y, len(y))) for x, y in pairs]
        again.append(slow_improvement(drawn))
    low, high = improvement_interval(pairs)
    assert (low, high) == pytest.approx(np.quantile(again, [0.025, 0.975]), abs=0.03)
    assert low < improvement(pairs) < high
    assert improvement_interval([([2.0, 3.0], [1.0, 0.0])]) == (1, 1)


@pytest.mark.parametrize(("start", "stop"), [(0.0, 9.0), (1.5, 6.2), (4.0, 4.0), (2.0, 15.0)])
def test_the_mean_height_is_the_area_over_the_length(start, stop):
    random = np.random.default_rng(1)
    x, y = np.sort(random.uniform(0, 9, 12)), random.normal(size=12)
    fine = np.linspace(start, stop, 200_001)
    assert mean_height(x, y, start, stop) == pytest.approx(np.interp(fine, x, y).mean(), abs=1e-3)


def test_the_first_time_at_a_threshold():
    x, y = np.array([1.0, 2.0, 5.0]), np.array([3.0, 7.0, 7.0])
    assert [first_reached(x, y, level) for level in (2, 3, 3.1, 7)] == [1, 1, 2, 2]
    assert first_reached(x, y, 7.1) == np.inf
