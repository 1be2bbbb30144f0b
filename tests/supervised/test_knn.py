"""k-nearest neighbours on digits: votes, the choice of metric and k, the final scores."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from rlgen import data
from rlgen.core.config import resolve
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.report.neighbours import by_k
from rlgen.supervised import settings
from rlgen.supervised.knn import KNN, cumulative_votes
from rlgen.supervised.neighbours import Neighbours


def build(seed=0, **options):
    return KNN("digits", resolve(settings.KNN, options), Setup(seed=seed, threads=1))


def search(knn, images=10**6):
    while knn.time < min(images, len(knn.queries)):
        knn.step()
    return knn


@pytest.fixture(scope="module")
def searched():
    return search(build(max_k=8))


def vectors(dataset):
    return dataset.images.flatten(1).numpy() / 255


@pytest.mark.parametrize(("metric", "name"), [("l1", "manhattan"), ("l2", "euclidean")])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("k", [1, 7])
def test_predictions_are_those_of_another_implementation(metric, name, weights, k):
    knn = build(metric=metric, k=k, weights=weights)
    other = KNeighborsClassifier(k, metric=name, weights=weights, algorithm="brute")
    other.fit(vectors(knn.train_set), knn.train_set.labels.numpy())
    images = knn.test_set.take(slice(0, 150))
    shares = other.predict_proba(vectors(images))
    decided = np.sort(shares, 1)[:, -1] > np.sort(shares, 1)[:, -2] + 1e-6
    assert decided.sum() > 140
    found = knn.predict(images.images)
    assert (found.argmax(1) == shares.argmax(1))[decided].all()
    np.testing.assert_allclose(found, shares, atol=0.1)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_one_neighbour_makes_no_error_on_remembered_images(metric):
    knn = build(metric=metric, k=1)
    labels = knn.train_set.labels[:300]
    assert (knn.logits(knn.train_set.images[:300])[0].argmax(1) == labels).all()


def test_of_classes_with_equal_votes_that_of_the_nearest_neighbour_leads():
    found = Neighbours(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), torch.zeros(1, 5, dtype=torch.int64))
    votes = cumulative_votes(found, torch.tensor([[2, 1, 1, 2, 0]]), 3, by_distance=False)
    assert votes.argmax(2).flatten().tolist() == [2, 2, 1, 2, 2]
    torch.testing.assert_close(votes[-1, 0], torch.tensor([1.0, 2.0, 2.0], dtype=torch.float64), atol=1e-5, rtol=0)


def test_votes_by_distance():
    found = Neighbours(torch.tensor([[1.0, 4.0, 4.0]]), torch.zeros(1, 3, dtype=torch.int64))
    votes = cumulative_votes(found, torch.tensor([[0, 1, 1]]), 2, by_distance=True)
    torch.testing.assert_close(votes[-1, 0], torch.tensor([1.0, 0.5], dtype=torch.float64), atol=1e-5, rtol=0)


def test_cross_validation_counts_votes_of_other_folds(searched):
    folds, labels = searched.folds(), searched.train_set.labels
    right = 0
    for fold in range(5):
        inside = (folds == fold).numpy()
        other = KNeighborsClassifier(1, algorithm="brute").fit(
            vectors(searched.train_set)[~inside], labels.numpy()[~inside]
        )
        right += (other.predict(vectors(searched.train_set)[inside]) == labels.numpy()[inside]).sum()
    assert searched.compared == len(searched.train_set)
    assert searched.right[1, 0].item() == pytest.approx(right, abs=1)


def test_metric_and_k_of_the_highest_accuracy_are_chosen(searched):
    metric, k = searched.chosen()
    best = searched.right[searched.metrics.index(metric), k - 1]
    assert best == searched.right.max()
    assert searched.chosen("l1")[0] == "l1"
    assert searched.right[0, searched.chosen("l1")[1] - 1] == searched.right[0].max()
    assert searched.evaluate()["eval_validation_accuracy"] == best / searched.compared


def test_validation_images_choose_in_place_of_folds():
    knn = search(build(validation=0.2, max_k=3))
    assert knn.compared == len(knn.validation_set)
    assert not set(map(bytes, knn.validation_set.images.numpy())) & set(map(bytes, knn.train_set.images.numpy()))
    right = (knn.logits(knn.validation_set.images, "l2")[0].argmax(1) == knn.validation_set.labels).sum()
    assert knn.right[1, knn.chosen("l2")[1] - 1] == right


def test_further_epochs_have_other_folds():
    knn = build(metric="l2", k=1)
    first = knn.folds()
    while knn.order.epoch == 0:
        knn.step()
    assert 0.1 < (knn.folds() == first).float().mean() < 0.3


def test_the_test_labels_choose_nothing(monkeypatch):
    load = data.load

    def permuted(task, split, **options):
        found = load(task, split, **options)
        if split == "train":
            return found
        return type(found)(found.name, found.images, found.labels.roll(1), found.classes)

    honest = search(build(max_k=4), 400)
    monkeypatch.setattr(data, "load", permuted)
    assert torch.equal(search(build(max_k=4), 400).right, honest.right)


def test_the_report_compares_the_metrics(searched):
    found = searched.report(0, 0)
    values = found.values
    assert values["accuracy"] == values["metrics"][values["metric"]]["accuracy"] > 0.97
    for row in values["metrics"].values():
        low, high = row["ci95"]
        assert low < row["accuracy"] < high
        assert len(row["validation_accuracy"]) == 8
    assert values["metrics"]["l1"]["accuracy"] != values["metrics"]["l2"]["accuracy"]
    assert found.lines[-1].startswith("test")
    axes = by_k(values, "knn on digits").axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 8]
    assert [list(line.get_ydata()) for line in lines] == [
        row["validation_accuracy"] for row in values["metrics"].values()
    ]


def test_nothing_is_reported_of_a_choice_that_was_not_made():
    assert build().evaluate() == {}
    assert build(k=3, metric="l2").report(20, 0).values["accuracy"] > 0.9


def test_more_neighbours_than_images_are_refused():
    with pytest.raises(UserError, match=r"--k 5000: an image has 1,199 others to compare with"):
        build(k=5_000)
    with pytest.raises(UserError, match=r"--max-k 5000: "):
        build(max_k=5_000)


def test_more_folds_than_images_of_a_class_are_refused_before_anything_is_written():
    with pytest.raises(UserError, match=r"class 0 has \d+ different images, too few for 1000 folds"):
        build(folds=1000)
