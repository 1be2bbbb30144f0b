"""The price of tuning against all subsets of the trials, one by one."""

from itertools import combinations

import numpy as np
import pytest

from rlgen.core.errors import UserError
from rlgen.sweep.analysis.outcomes import outcomes
from rlgen.sweep.analysis.price import expected_best, price, within
from tests.sweep.made_up import study, trial


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_the_expected_best_is_the_mean_over_all_subsets(n):
    values = np.random.default_rng(n).normal(size=n)  # of held-out seeds: not in the order of the ranking
    slow = [np.mean([values[min(subset)] for subset in combinations(range(n), k)]) for k in range(1, n + 1)]
    assert expected_best(values) == pytest.approx(slow)


def test_in_descending_order_it_is_the_expected_maximum():
    values = np.sort(np.random.default_rng(0).normal(size=8))[::-1]
    slow = [np.mean([max(subset) for subset in combinations(values, k)]) for k in range(1, 9)]
    assert expected_best(values) == pytest.approx(slow)
    assert expected_best(np.linspace(1, 0, 2_000))[[0, -1]] == pytest.approx([0.5, 1])


def slow_price(trials):
    """Each seed is held out in turn, and every subset of the trials is a study."""
    scores = {t.number: t.scores for t in trials if t.state == "complete"}
    seeds = len(next(iter(scores.values())))
    found = []
    for k in range(1, len(trials) + 1):
        bests = []
        for subset in combinations(trials, k):
            for held in range(seeds):
                left = [t for t in subset if t.number in scores]
                worst = min(score[held] for score in scores.values())
                chosen = max(left, key=lambda t: (np.delete(scores[t.number], held).mean(), -t.number), default=None)
                bests.append(worst if chosen is None else scores[chosen.number][held])
        found.append(np.mean(bests))
    return found


def test_seeds_are_held_out_and_broken_trials_are_studies_too():
    random = np.random.default_rng(3)
    trials = [trial(i, random.normal(size=3), seconds=10.0) for i in range(1, 6)]
    trials += [trial(6, state="diverged", seconds=4.0), trial(7, state="failed", seconds=70.0)]
    found = price(outcomes(trials))
    assert found.held_out
    assert found.best == pytest.approx(slow_price(trials))
    assert found.seconds == pytest.approx(np.arange(1, 8) * (50 + 4 + 70) / 7)


def test_running_trials_have_no_price_yet():
    trials = [trial(1, [1.0]), trial(2, [5.0], state="running", seconds=99.0), trial(3, [9.0], role="test")]
    found = price(outcomes(trials))
    assert found.seconds.tolist() == [1.0]
    assert found.best.tolist() == [1.0]
    assert not found.held_out


def test_a_score_of_pure_noise_promises_nothing():
    """The highest selected score rises with every trial, the held-out one does not: on average over studies."""
    random = np.random.default_rng(0)
    studies = [outcomes([trial(i, random.normal(size=4)) for i in range(1, 31)]) for _ in range(60)]
    assert np.mean([made.scores.mean(axis=1).max() for made in studies]) > 0.9
    best = np.mean([price(made, orders=1).best for made in studies], axis=0)
    assert abs(best - best[0]).max() < 0.25


def test_the_band_holds_the_expectation_and_ends_at_the_spread_of_seeds():
    found = price(outcomes(study(n=30)))
    assert (found.low <= found.best).all()
    assert (found.best <= found.high).all()
    assert found.high[0] - found.low[0] > 3 * (found.high[-1] - found.low[-1]) > 0


def test_within_is_the_fewest_trials_of_most_of_the_rise():
    found = price(outcomes([trial(i, [float(i)]) for i in range(1, 101)]))
    k = within(found)
    assert found.best[k - 1] >= 50.5 + 0.95 * 49.5 > found.best[k - 2]
    assert within(price(outcomes([trial(1, [1.0]), trial(2, [1.0])]))) == 1


def test_nothing_without_a_score():
    with pytest.raises(UserError, match="no trial of 2 finished ones has a score"):
        outcomes([trial(1, state="failed"), trial(2, state="diverged")])
    with pytest.raises(UserError, match="no trial of 0"):
        outcomes([])
