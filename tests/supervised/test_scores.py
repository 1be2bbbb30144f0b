"""The report of a classifier: numbers, text and pictures of the same predictions."""

import json
import math

import numpy as np
import pytest
import torch

from rlgen.data import Dataset
from rlgen.supervised import losses, measures
from rlgen.supervised.scores import report

CLASSES = ("cat", "dog", "owl")


def some(n=60, classes=CLASSES, seed=0, labels=None):
    """Test images, and scores (1, N, K) that favour the label."""
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(len(classes), size=n)) if labels is None else torch.tensor(labels)
    images = torch.from_numpy(rng.integers(256, size=(len(labels), 1, 4, 4), dtype=np.uint8))
    scores = torch.from_numpy(rng.normal(size=(1, len(labels), len(classes)))).float()
    return Dataset("some", images, labels, classes), scores + 1.5 * torch.eye(len(classes))[labels]


def made(**more):
    test, scores = some(**more)
    return test, scores, report(scores, test, losses.cross_entropy)


def test_values_are_those_of_the_measures():
    test, scores, found = made()
    right = (scores[0].argmax(1) == test.labels).double().mean().item()
    assert found.values["score"] == found.values["accuracy"] == pytest.approx(right)
    assert found.values["ci95"] == pytest.approx([float(end) for end in measures.wilson(right, 60)])
    assert found.values["loss"] == pytest.approx(torch.nn.functional.cross_entropy(scores[0], test.labels).item())
    p = scores[0].softmax(1).numpy()
    assert found.values["ece"] == pytest.approx(measures.calibration(p, test.labels).error, abs=1e-6)
    assert found.details["confusion"] == measures.confusion(test.labels, p.argmax(1), 3).tolist()


def test_every_value_is_strict_json():
    *_, found = made(labels=[0, 0, 2])  # no image of class dog, empty bins
    values = {**found.values, **found.details}
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert found.details["classes"]["dog"]["recall"] is None


def test_scores_that_exclude_a_label_have_no_finite_loss():
    test, scores = some(labels=[0, 1])
    scores[0, 0, 0] = -math.inf
    found = report(scores, test, losses.cross_entropy)
    assert found.values["loss"] is None
    assert found.details["top_losses"][0]["loss"] is None
    assert "loss    infinite" in found.lines[1]


def test_the_table_has_a_row_with_intervals_for_each_class():
    test, scores, found = made()
    predicted = scores[0].argmax(1)
    for i, name in enumerate(CLASSES):
        row = next(line.split() for line in found.lines if line.startswith(name))
        n = int((test.labels == i).sum())
        recall = float((predicted[test.labels == i] == i).double().mean())
        low, high = measures.wilson(recall, n)
        assert row[1:6] == [str(n), f"{recall:.1%}", f"{100 * low:.1f}", "to", f"{100 * high:.1f}"]


def test_a_class_without_predictions_has_no_precision():
    test, scores = some()
    scores[..., 1] = -9.0
    row = next(line for line in report(scores, test, losses.cross_entropy).lines if line.startswith("dog"))
    assert "none" in row


def test_of_many_classes_those_of_the_lowest_recall_are_listed():
    names = tuple(f"class{i}" for i in range(50))
    test, scores = some(labels=list(range(50)) * 2, classes=names)
    scores[:] = 9 * torch.eye(50)[test.labels]
    scores[0, 30] = 9 * torch.eye(50)[31]
    found = report(scores, test, losses.cross_entropy)
    listed = [line.split()[0] for line in found.lines if line.startswith("class") and line[5].isdigit()]
    assert len(listed) == 40
    assert "class30" in listed
    assert "and 10 classes of higher recall, in --json" in found.lines
    assert len(found.details["classes"]) == 50


def test_several_seeds_have_a_mean_and_an_interval_over_seeds():
    test, first = some()
    scores = torch.cat([first, some(seed=1)[1][:, :60], first])
    found = report(scores, test, losses.cross_entropy)
    each = (scores.argmax(-1) == test.labels).double().mean(1)
    assert found.values["per_seed"] == pytest.approx(each.tolist())
    assert found.values["accuracy"] == pytest.approx(each.mean().item())
    assert each.min() <= found.values["ci95"][0] <= found.values["ci95"][1] <= each.max()
    assert sum(map(sum, found.details["confusion"])) == 180
    assert any("(images, summed over 3 seeds)" in line for line in found.lines)
    assert sum(row["images"] for row in found.details["classes"].values()) == 60


def test_a_temperature_is_fitted_on_validation_images_alone():
    test, scores = some(300)
    validation, other = some(200, seed=1)
    found = report(4 * scores, test, losses.cross_entropy, (4 * other, validation.labels))
    assert found.values["temperature"] == pytest.approx(measures.temperature(4 * other, validation.labels))
    assert found.values["tempered_ece"] < found.values["ece"]
    assert "temperature" in "".join(found.lines)
    assert "temperature" not in report(scores, test, losses.cross_entropy).values


def test_the_worst_errors_and_the_most_confused_pairs():
    test, scores, found = made()
    losses_ = torch.nn.functional.cross_entropy(scores[0], test.labels, reduction="none")
    worst = found.details["top_losses"][0]
    assert worst["image"] == losses_.argmax().item()
    assert worst["label"] == CLASSES[test.labels[worst["image"]]]
    assert sum(worst["probabilities"]) == pytest.approx(1, abs=1e-3)
    pair = found.details["most_confused"][0]
    wrong = [(CLASSES[a], CLASSES[b]) for a, b in zip(test.labels, scores[0].argmax(1), strict=True) if a != b]
    assert wrong.count((pair["label"], pair["prediction"])) == pair["images"] == max(map(wrong.count, wrong))
    assert f"{pair['label']} → {pair['prediction']} ({pair['images']})" in "".join(found.lines)
    assert list(found.grids) == ["top_losses.png", "confused.png"]


def test_without_errors_there_are_no_pairs():
    test, _ = some()
    found = report(9 * torch.eye(3)[test.labels][None], test, losses.cross_entropy)
    assert list(found.grids) == ["top_losses.png"]
    assert not any(line.startswith("errors") for line in found.lines)
    assert found.values["accuracy"] == 1
