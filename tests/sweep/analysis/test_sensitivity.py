"""Sensitivity to settings whose effects are known."""

import numpy as np
import pytest

from rlgen.sweep.analysis import sensitivity as module
from rlgen.sweep.analysis.outcomes import outcomes
from rlgen.sweep.analysis.sensitivity import sensitivity
from rlgen.sweep.space import Choices, Range
from tests.sweep.made_up import SPACE, study, table, trial, truth


@pytest.fixture(scope="module")
def found():
    """A study and its sensitivity card."""
    trials = study(n=50, limit=1.0)
    return trials, sensitivity(*table(trials))


def test_the_falls_are_those_of_the_true_scores(found):
    trials, card = found
    made = outcomes(trials)
    best = made.trials[made.best].settings
    assert {along.setting.name for along in card.slices} == set(SPACE)
    for along in card.slices:
        scores = [truth({**best, along.setting.name: value}) for value in along.setting.values]
        assert along.fall.value == pytest.approx(truth(best) - np.mean(scores), abs=1.5)
        assert along.fall.low < along.fall.value < along.fall.high
        assert along.best == best[along.setting.name]
    falls = {along.setting.name: along.fall for along in card.slices}
    assert falls["gamma"].low < 0.5
    assert all(falls[name].low > 0 for name in ("lr", "n_step", "double"))
    assert [along.fall.value for along in card.slices] == sorted((f.value for f in falls.values()), reverse=True)
    assert card.together.low < 10 + 20 / 3 + 4 < card.together.high + 3


def test_a_slice_is_at_its_highest_near_the_best_value(found):
    _, card = found
    slices = {along.setting.name: along for along in card.slices}
    assert slices["n_step"].centre.argmax() == 1
    lr = slices["lr"]
    assert np.log10(lr.setting.values[int(lr.centre.argmax())]) == pytest.approx(-3, abs=0.3)
    assert (lr.low < lr.centre).all()
    assert (lr.centre < lr.high).all()


def test_settings_are_tuned_in_the_order_of_their_gain(found):
    _, card = found
    shares = [share for _, share in card.gains]
    assert {name for name, _ in card.gains[:3]} == {"lr", "n_step", "double"}
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert card.dimensions == 3


def test_noise_widens_the_interval():
    quiet, loud = (sensitivity(*table(study(n=24, noise=noise))).together for noise in (0.5, 8.0))
    assert loud.high - loud.low > quiet.high - quiet.low


def test_many_trials_are_thinned_and_the_best_stays(monkeypatch):
    monkeypatch.setattr(module, "MOST", 5)
    trials = [trial(i, [100.0 if i == 7 else i % 3], a=i % 2, b=i % 3) for i in range(1, 21)]
    space = {"a": Choices((0, 1)), "b": Choices((0, 1, 2))}
    settings, rows, scores, variances, best = table(trials, space)
    assert best == 6
    process = module.Process(np.arange(20.0)[:, None], scores, variances, best)
    assert len(process.fitted.X_train_) == 5
    assert 6 in process.fitted.X_train_
    assert sensitivity(settings, rows, scores, variances, best).together.value > 0


def test_few_trials_of_noisy_seeds_are_not_trusted():
    """The same means, of seeds that agree and of seeds that do not."""
    trials = [trial(i, [float(i)] * 4, a=i / 10) for i in range(1, 9)]
    loud = [trial(t.number, np.add(t.scores, [-9, 9, -9, 9]), **t.settings) for t in trials]
    space = {"a": Range(0.0, 1.0)}
    small, large = (sensitivity(*table(each, space)).slices[0] for each in (trials, loud))
    assert (large.high - large.low).min() > 2 * (small.high - small.low).min()


def test_equal_scores_have_no_fall():
    trials = [trial(i, [1.0], a=i % 2) for i in range(1, 9)]
    card = sensitivity(*table(trials, {"a": Choices((0, 1))}))
    assert card.together.value == pytest.approx(0, abs=1e-6)
    assert card.gains == (("a", 1.0),)
