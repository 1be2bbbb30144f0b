"""The report of a classifier on test images, from its scores. Shapes: S seeds, N images, K classes."""

from typing import Any

import numpy as np
from torch import Tensor

from rlgen.core.algorithm import Report
from rlgen.core.tables import table
from rlgen.report.statistics import bootstrap
from rlgen.supervised import measures
from rlgen.supervised.losses import Loss

MAX_CLASSES = 40  # rows of the table of classes, at most


def report(scores: Tensor, labels: Tensor, classes: tuple[str, ...], loss: Loss) -> Report:
    """Accuracy with its 95 % interval, loss, calibration and the table of classes, from scores (S, N, K), labels (N,).

    The interval is over images for one seed, over seeds for several.
    """
    seeds, images = scores.shape[:2]
    log_p = measures.log_softmax(scores.numpy())  # (S, N, K)
    predicted = log_p.argmax(-1)
    right = predicted == labels.numpy()
    each = right.mean(1)  # (S,)
    accuracy = float(each.mean())
    low, high = bootstrap(each) if seeds > 1 else measures.wilson(accuracy, images)
    rows = measures.per_class(measures.confusion(labels.numpy(), predicted, len(classes)), seeds)
    values: dict[str, Any] = {
        "score": accuracy,
        "accuracy": accuracy,
        "ci95": [float(low), float(high)],
        "images": images,
        "loss": float(loss(scores, labels.expand(scores.shape[:2])).double().mean()),
        "ece": measures.calibration(np.exp(log_p), labels.numpy()).error,
        "recall": {name: float(value) for name, value in zip(classes, rows.recall, strict=True)},
    }
    over = f"{seeds} seeds" if seeds > 1 else "images"
    lines = [
        f"score   accuracy {accuracy:.2%} on {images:,} test images"
        f" (95 % interval over {over} {float(low):.2%} to {float(high):.2%}),"
        f" loss {values['loss']:.4f}, calibration error {values['ece']:.2%}"
    ]
    if seeds > 1:
        values["per_seed"] = each.tolist()
        lines.append(f"seeds   accuracy of each: {'  '.join(f'{value:.2%}' for value in each)}")
    shown = zip(classes, rows.support, rows.recall, *rows.recall_interval, rows.precision, strict=True)
    cells = [
        [name, f"{n:,}", f"{recall:.1%}", f"{first:.1%} to {last:.1%}", f"{precision:.1%}"]
        for name, n, recall, first, last, precision in shown
    ]
    lines += table(["class", "images", "recall", "95 % interval", "precision"], cells[:MAX_CLASSES])
    return Report(values, lines)
