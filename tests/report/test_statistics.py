import numpy as np
import pytest
from scipy.stats import trim_mean

from rlgen.report.statistics import bootstrap, iqm


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
