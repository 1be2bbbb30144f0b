"""Measures of class predictions against slow loops, hand-worked cases and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics

from rlgen.supervised import measures

rng = np.random.default_rng(0)


def some(n=200, k=5, seed=0):
    """Logits (N, K) that favour the label, and labels (N,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    return 2 * rng.normal(size=(n, k)) + 2 * np.eye(k)[labels], labels


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (3, 10), (9_930, 10_000)])
def test_the_ends_of_a_wilson_interval_are_where_a_score_test_rejects(hits, n):
    low, high = measures.wilson(hits / n, n)
    for end in (float(low), float(high)):
        if 0 < end < 1:
            assert abs(hits / n - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(measures.NORMAL, rel=1e-9)
    assert 0 <= low <= hits / n <= high <= 1
    assert high > low


def test_a_wilson_interval_known_by_hand():
    low, high = measures.wilson(0.5, 10)
    assert (float(low), float(high)) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))


def test_a_share_of_nothing_may_be_anything():
    low, high = measures.wilson([np.nan, 1.0], [0, 4])
    assert low.tolist() == [0.0, pytest.approx(0.5101, abs=1e-4)]
    assert high.tolist() == [1.0, 1.0]


def test_cross_entropy_is_that_of_torch():
    logits, labels = some()
    losses = measures.cross_entropy(measures.log_softmax(logits), labels)
    wanted = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels), reduction="none")
    assert losses == pytest.approx(wanted.numpy())


def test_cross_entropy_of_several_networks():
    logits = np.stack([some(seed=s)[0] for s in range(3)])
    labels = some()[1]
    losses = measures.cross_entropy(measures.log_softmax(logits), labels)
    alone = [measures.cross_entropy(measures.log_softmax(part), labels) for part in logits]
    assert losses.tolist() == [part.tolist() for part in alone]


def test_a_certain_right_answer_costs_nothing():
    """A softmax of probabilities, the usual mistake, costs at least 1.4612 of ten classes."""
    logits = 1_000 * np.eye(10)[:1]
    log_p = measures.log_softmax(logits)
    assert measures.cross_entropy(log_p, [0])[0] < 1e-3
    assert measures.cross_entropy(measures.log_softmax(np.exp(log_p)), [0])[0] == pytest.approx(1.4612, abs=1e-4)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    assert measures.cross_entropy(measures.log_softmax(np.zeros((1, 10))), [3])[0] == pytest.approx(2.302585, abs=1e-6)


def test_enormous_logits_are_finite():
    log_p = measures.log_softmax([[1e6, 0.0], [-1e6, 0.0]])
    assert np.isfinite(log_p).all()


def test_confusion_matrix_by_a_loop():
    logits, labels = some()
    predictions = logits.argmax(1)
    wanted = np.zeros((5, 5), int)
    for given, said in zip(labels, predictions, strict=True):
        wanted[given, said] += 1
    assert measures.confusion(labels, predictions, 5).tolist() == wanted.tolist()


def test_confusion_matrix_of_several_networks_is_the_sum():
    labels = rng.integers(3, size=50)
    predictions = rng.integers(3, size=(4, 50))
    alone = [measures.confusion(labels, part, 3) for part in predictions]
    assert measures.confusion(labels, predictions, 3).tolist() == sum(alone).tolist()


def test_a_class_that_never_occurs_has_its_row_and_column():
    assert measures.confusion([0, 1], [1, 1], 3).tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_per_class_table_is_that_of_scikit_learn():
    logits, labels = some()
    predictions = logits.argmax(1)
    table = measures.per_class(measures.confusion(labels, predictions, 5))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(labels, predictions)
    assert table.precision == pytest.approx(precision)
    assert table.recall == pytest.approx(recall)
    assert table.f1 == pytest.approx(f1)
    assert table.support.tolist() == support.tolist()


def test_intervals_hold_their_values():
    logits, labels = some()
    table = measures.per_class(measures.confusion(labels, logits.argmax(1), 5))
    for name in ("precision", "recall", "f1"):
        low, high = getattr(table, f"{name}_interval")
        assert (low < getattr(table, name)).all()
        assert (high > getattr(table, name)).all()


def test_the_interval_of_a_recall_counts_the_images_of_its_class():
    table = measures.per_class([[3, 7], [0, 90]])
    low, high = table.recall_interval
    assert (low[0], high[0]) == tuple(float(end) for end in measures.wilson(0.3, 10))


def test_the_interval_of_f1_covers_as_often_as_it_promises():
    rng = np.random.default_rng(1)
    shares = np.array([[0.4, 0.1], [0.15, 0.35]])  # F1 of class 0: 0.8 / (0.8 + 0.25)
    covered = 0
    for _ in range(400):
        low, high = measures.per_class(rng.multinomial(300, shares.ravel()).reshape(2, 2)).f1_interval
        covered += low[0] <= 0.8 / 1.05 <= high[0]
    assert 0.91 <= covered / 400 <= 0.99


def test_several_networks_are_no_further_images():
    matrix = np.array([[8, 2], [1, 9]])
    once, thrice = measures.per_class(matrix), measures.per_class(3 * matrix, networks=3)
    for name in once._fields:
        assert np.allclose(getattr(once, name), getattr(thrice, name))


def test_classes_without_images_or_predictions_have_no_shares():
    table = measures.per_class([[2, 0, 1], [0, 0, 0], [3, 0, 0]])
    assert np.isnan(table.recall).tolist() == [False, True, False]
    assert np.isnan(table.precision).tolist() == [False, True, False]
    assert np.isnan(table.f1).tolist() == [False, True, False]


def test_most_confused_pairs_in_order():
    matrix = [[90, 3, 0], [5, 80, 1], [0, 3, 70]]
    pairs = [measures.Pair(*pair) for pair in ((1, 0, 5), (0, 1, 3), (2, 1, 3), (1, 2, 1))]
    assert measures.most_confused(matrix, 9) == pairs
    assert measures.most_confused(matrix, 2) == pairs[:2]
    assert matrix[0][0] == 90, "the diagonal of the argument is unchanged"


def test_top_losses_by_a_loop():
    logits, labels = some()
    found = measures.top_losses(measures.log_softmax(logits), labels, 7)
    losses = [math.log(sum(map(math.exp, row))) - row[y] for row, y in zip(logits, labels, strict=True)]
    assert found.index.tolist() == sorted(range(200), key=lambda i: -losses[i])[:7]
    assert found.loss == pytest.approx(sorted(losses, reverse=True)[:7])
    assert found.given.tolist() == labels[found.index].tolist()
    assert found.predicted.tolist() == logits[found.index].argmax(1).tolist()
    assert found.probabilities.sum(1) == pytest.approx(np.ones(7))


def test_top_losses_of_several_networks_are_means():
    logits = np.stack([some(20, seed=s)[0] for s in range(2)])
    labels = some(20)[1]
    log_p = measures.log_softmax(logits)
    found = measures.top_losses(log_p, labels, 20)
    means = (measures.cross_entropy(log_p[0], labels) + measures.cross_entropy(log_p[1], labels)) / 2
    assert found.loss == pytest.approx(np.sort(means)[::-1])
    assert found.probabilities == pytest.approx(np.exp(log_p).mean(0)[found.index])


def test_calibration_bins_by_a_loop():
    logits, labels = some(500)
    p = np.exp(measures.log_softmax(logits))
    found = measures.calibration(p, labels, 10)
    error = 0.0
    for b in range(10):
        inside = [i for i in range(500) if b / 10 < p[i].max() <= (b + 1) / 10]
        assert found.count[b] == len(inside)
        if inside:
            confidence = sum(p[i].max() for i in inside) / len(inside)
            accuracy = sum(p[i].argmax() == labels[i] for i in inside) / len(inside)
            assert found.confidence[b] == pytest.approx(confidence)
            assert found.accuracy[b] == pytest.approx(accuracy)
            error += len(inside) / 500 * abs(accuracy - confidence)
    assert found.error == pytest.approx(error)


def test_a_confidence_of_one_belongs_to_the_last_bin():
    found = measures.calibration([[0.95, 0.05], [1.0, 0.0]], [0, 1], 10)
    assert found.error == pytest.approx(0.475)
    assert found.count.tolist() == [0] * 9 + [2]


def test_a_bin_holds_its_right_edge():
    found = measures.calibration([[0.75, 0.25], [0.76, 0.24]], [0, 0], 4)  # 0.75 is exact in binary
    assert found.count.tolist() == [0, 0, 1, 1]


def test_empty_bins_add_nothing():
    found = measures.calibration([[0.55, 0.45]], [0], 10)
    assert found.error == pytest.approx(0.45)


def test_temperature_minimises_the_loss():
    logits, labels = some(1_000)
    best = measures.temperature(5 * logits, labels)

    def loss(t):
        return measures.cross_entropy(measures.log_softmax(5 * logits / t), labels).mean()

    grid = np.geomspace(0.01, 100, 4_001)
    assert best == pytest.approx(grid[np.argmin([loss(t) for t in grid])], rel=0.003)
    assert best == pytest.approx(5 * measures.temperature(logits, labels), rel=1e-6)


def test_temperature_keeps_the_accuracy_and_mends_the_calibration():
    logits, labels = some(4_000)
    logits = 4 * logits
    cooled = logits / measures.temperature(logits, labels)
    assert (cooled.argmax(1) == logits.argmax(1)).all()
    before, after = (measures.calibration(np.exp(measures.log_softmax(z)), labels).error for z in (logits, cooled))
    assert after < before / 3


def test_temperature_without_an_optimum():
    assert measures.temperature(np.zeros((4, 3)), [0, 1, 2, 0]) == 1.0
    assert measures.temperature([[5.0, 0.0], [0.0, 5.0]], [0, 1]) == pytest.approx(measures.COLDEST)
