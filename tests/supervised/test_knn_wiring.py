"""Every setting of k-nearest neighbours configures what it names."""

import pytest

from rlgen import data
from rlgen.core.config import resolve
from rlgen.core.settings import Setup
from rlgen.supervised import settings
from rlgen.supervised.knn import KNN
from tests.wiring import Effect, check_effect, every_field

LOADED = []  # arguments of `data.load`


@pytest.fixture(autouse=True)
def spy(monkeypatch):
    load = data.load

    def spied(task, split, **given):
        LOADED.append(given)
        return load(task, split, **{**given, "data": None})

    monkeypatch.setattr(data, "load", spied)


def build(**options):
    LOADED.clear()
    return KNN("digits", resolve(settings.KNN, options), Setup(threads=1))


def loaded(name):
    return lambda knn: LOADED[-1][name]


def unequal(knn):
    """Whether votes count other than 1 each."""
    from rlgen.supervised.knn import _vectors

    votes = knn.votes(_vectors(knn.test_set.images[:100]), [9], "l2")[0]
    return round((votes.sum(1) - 9).abs().max().item(), 4) > 0.1


EFFECTS = {
    "data": Effect("elsewhere", loaded("data"), "elsewhere"),
    "size": Effect(16, lambda knn: knn.memory.vectors.shape[1], 256),
    "skip_bad": Effect(True, loaded("skip_bad"), True),
    "only_classes": Effect("3,5", lambda c: c.classes, ("3", "5")),
    "train_images": Effect(200, lambda knn: len(knn.memory.vectors), 200),
    "validation": Effect(0.5, lambda knn: len(knn.validation_set) > 600, True),
    "k": Effect(3, lambda knn: list(knn.ks), [3]),
    "max_k": Effect(4, lambda knn: list(knn.ks), [1, 2, 3, 4]),
    "metric": Effect("l2", lambda knn: knn.metrics, ("l2",)),
    "weights": Effect("distance", unequal, True),
    "folds": Effect(3, lambda knn: knn.folds().max().item(), 2),
}


@pytest.mark.parametrize("name", every_field(settings.KNN, EFFECTS))
def test_every_setting_has_its_effect(name):
    check_effect(build, name, EFFECTS)


def test_options_without_effect_are_named():
    assert set(resolve(settings.KNN, {"k": 3}).unused()) == {"max_k"}
    assert set(resolve(settings.KNN, {"validation": 0.1}).unused()) == {"folds"}
    assert not resolve(settings.KNN, {}).unused()
