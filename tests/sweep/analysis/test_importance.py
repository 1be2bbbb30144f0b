"""Importance of settings whose effects are known."""

import numpy as np

from rlgen.sweep.analysis.importance import importance
from rlgen.sweep.space import Choices, Range
from tests.sweep.made_up import study, table, trial


def test_settings_by_their_effect():
    ranked = importance(*table(study())[:3], forests=15)
    names, values = [name for name, _ in ranked.settings], dict(ranked.settings)
    assert names == sorted(names, key=lambda name: -values[name].value)
    assert names[-1] == "gamma"
    assert values["gamma"].low < 0 < values["gamma"].high
    assert values["gamma"].value < 0.1
    assert values["lr"].low > 0
    assert 0.5 < ranked.explained <= 1


def test_noise_explains_nothing():
    random = np.random.default_rng(0)
    trials = [trial(i, random.normal(size=4), a=float(random.uniform()), b=int(i % 2)) for i in range(1, 41)]
    ranked = importance(*table(trials, {"a": Range(0, 1), "b": Choices((0, 1))})[:3], forests=15)
    assert ranked.explained < 0.2
    assert all(value.low < 0.05 for _, value in ranked.settings)


def test_the_columns_of_a_word_are_shuffled_together():
    """A setting of three words decides alone: without it nothing is known, whatever column a tree has used."""
    level = {"x": 0.0, "y": 5.0, "z": 10.0}
    trials = [trial(i, [level["xyz"[i % 3]]], word="xyz"[i % 3]) for i in range(1, 31)]
    ((name, value),) = importance(*table(trials, {"word": Choices(("x", "y", "z"))})[:3], forests=15).settings
    assert name == "word"
    assert 1.2 < value.value < 3  # of a variance of 1, two independent draws differ by 2


def test_equal_scores_have_no_importance():
    trials = [trial(i, [1.0], a=i % 2) for i in range(1, 9)]
    ranked = importance(*table(trials, {"a": Choices((0, 1))})[:3], forests=3)
    assert [value.value for _, value in ranked.settings] == [0]
