"""The report of a classifier on test images, from its scores. Shapes: S seeds, N images, K classes, M validation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from rlgen.core.algorithm import Report
from rlgen.core.tables import table
from rlgen.data import Dataset
from rlgen.report.statistics import bootstrap
from rlgen.supervised import galleries, measures
from rlgen.supervised.losses import Loss
from rlgen.supervised.measures import PerClass, TopLosses

MAX_CLASSES = 40  # rows of the table of classes, at most: those of the lowest recall
PAIRS, SHOWN_PAIRS = 10, 5  # most confused pairs of classes in a report, and in its text


class Confusion(NamedTuple):
    """Test images of one class that were classified as another, by the names of the classes."""

    label: str
    prediction: str
    images: int


def report(
    scores: Tensor,
    test: Dataset,
    loss: Loss,
    validation: tuple[Tensor, Tensor] | None = None,
    networks: str = "seeds",
) -> Report:
    """Accuracy with its 95 % interval, loss, calibration and the table of classes, from scores (S, N, K).

    The interval is over images for one seed, over seeds for several, or over the `networks` of other names: folds.
    `validation` holds the scores (S, M, K) and labels (M,) by which a temperature is fitted; without it there is none.
    """
    assert test.labels is not None
    (seeds, images), labels = scores.shape[:2], test.labels.numpy()
    log_p = measures.log_softmax(scores.numpy())  # (S, N, K)
    predicted = log_p.argmax(-1)
    each = (predicted == labels).mean(1)  # (S,)
    accuracy = float(each.mean())
    low, high = map(float, bootstrap(each) if seeds > 1 else measures.wilson(accuracy, images))
    matrix = measures.confusion(labels, predicted, len(test.classes))
    most_confused = measures.most_confused(matrix, PAIRS)
    ranked = measures.top_losses(log_p, labels, images)
    worst = ranked.first(galleries.LOSSES)
    rows, bins = measures.per_class(matrix, seeds), measures.calibration(np.exp(log_p), labels)
    values: dict[str, Any] = {
        "score": accuracy,
        "accuracy": accuracy,
        "ci95": [low, high],
        "images": images,
        "loss": _number(loss(scores, test.labels.expand(scores.shape[:2])).double().mean()),
        "ece": bins.error,
        **_tempered(scores, labels, validation),
    }
    pairs = [Confusion(test.classes[p.given], test.classes[p.predicted], p.count) for p in most_confused]
    if seeds > 1:
        values |= {"per_seed": each.tolist(), "networks": seeds}
    details = {
        "classes": {name: _class(rows, i) for i, name in enumerate(test.classes)},
        "confusion": matrix.tolist(),
        "most_confused": [pair._asdict() for pair in pairs],
        "top_losses": [_loss(worst, i, test.classes) for i in range(len(worst.index))],
        "calibration": {name: [_number(value) for value in column] for name, column in vars(bins).items()},
    }
    lines = [*_summary(values, networks), *_errors(pairs, seeds, networks), *_table(rows, test.classes)]
    grids = {"top_losses.png": galleries.top_losses(test.images, test.classes, worst)}
    if (confused := galleries.confused(test.images, test.classes, most_confused, ranked)) is not None:
        grids["confused.png"] = confused
    return Report(values, lines, details, grids)


def _tempered(scores: Tensor, labels: Any, validation: tuple[Tensor, Tensor] | None) -> dict[str, float]:
    """The temperature of the lowest loss on validation images, and the calibration error on test images with it."""
    if validation is None:
        return {}
    found = measures.temperature(validation[0].numpy(), validation[1].numpy())
    p = np.exp(measures.log_softmax(scores.numpy() / found))
    return {"temperature": found, "tempered_ece": measures.calibration(p, labels).error}


def _summary(values: Mapping[str, Any], networks: str) -> list[str]:
    """Accuracy with its interval, loss and calibration as text."""
    seeds = len(values.get("per_seed", [0]))
    low, high = values["ci95"]
    over = f"{seeds} {networks}" if seeds > 1 else "images"
    lines = [
        f"score   accuracy {values['accuracy']:.2%} on {values['images']:,} test images,"
        f" 95 % interval over {over} {low:.2%} to {high:.2%}"
    ]
    if seeds > 1:
        lines.append(f"{networks:<7} accuracy of each: {'  '.join(f'{value:.2%}' for value in values['per_seed'])}")
    loss = "infinite" if values["loss"] is None else f"{values['loss']:.4g}"
    tempered = ", {tempered_ece:.2%} at temperature {temperature:.3g}" if "temperature" in values else ""
    lines.append(f"loss    {loss}, calibration error {values['ece']:.2%}{tempered.format(**values)}")
    return lines


def _errors(pairs: Sequence[Confusion], seeds: int, networks: str) -> list[str]:
    counted = "images" if seeds == 1 else f"images, summed over {seeds} {networks}"
    words = (f"{pair.label} → {pair.prediction} ({pair.images:,})" for pair in pairs[:SHOWN_PAIRS])
    return [f"errors  label → prediction ({counted}): {'  '.join(words)}"] if pairs else []


def _loss(worst: TopLosses, i: int, classes: Sequence[str]) -> dict[str, Any]:
    """One of the images of the highest losses as JSON, with its index among the test images."""
    return {
        "image": int(worst.index[i]),
        "label": classes[worst.given[i]],
        "prediction": classes[worst.predicted[i]],
        "loss": _number(worst.loss[i]),
        "probabilities": [float(f"{share:.4g}") for share in worst.probabilities[i]],
    }


def _class(rows: PerClass, i: int) -> dict[str, Any]:
    """The row of one class as JSON."""
    shares = {name: _number(getattr(rows, name)[i]) for name in ("recall", "precision", "f1")}
    intervals = {f"{name}_ci95": [float(end[i]) for end in getattr(rows, f"{name}_interval")] for name in shares}
    return {"images": int(rows.support[i]), **shares, **intervals}


def _table(rows: PerClass, classes: Sequence[str]) -> list[str]:
    """A row per class with 95 % intervals, in the order of the classes; of very many those of the lowest recall."""
    order = np.argsort(np.nan_to_num(rows.recall, nan=2.0), kind="stable")[:MAX_CLASSES]
    cells = [
        [
            classes[i],
            f"{rows.support[i]:,}",
            *(
                cell
                for name in ("recall", "precision", "f1")
                for cell in _cells(getattr(rows, name)[i], *(end[i] for end in getattr(rows, f"{name}_interval")))
            ),
        ]
        for i in sorted(order)
    ]
    head = ["class", "images", "recall", "95 %", "precision", "95 %", "F1", "95 %"]
    fewer = len(classes) - len(cells)
    return table(head, cells) + ([f"and {fewer:,} classes of higher recall, in --json"] if fewer else [])


def _cells(share: float, low: float, high: float) -> tuple[str, str]:
    return ("none", "") if math.isnan(share) else (f"{share:.1%}", f"{100 * low:.1f} to {100 * high:.1f}")


def _number(value: Any) -> float | None:
    """As JSON: None where there is no value, or no finite one."""
    return float(value) if math.isfinite(value) else None
