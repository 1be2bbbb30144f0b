"""Quality of a model's samples in the course of its training: measured at portraits, kept in quality.jsonl."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rlgen.core import logs, portraits
from rlgen.core.errors import UserError
from rlgen.core.folder import Folder
from rlgen.core.images import to_bytes
from rlgen.core.seeds import derive
from rlgen.generative.quality.feature_classifier import FEATURES, REFERENCE_IMAGES, FeatureClassifier, shuffled
from rlgen.generative.quality.metrics import distances_of
from rlgen.generative.sampling import sample_batches

Row = dict[str, Any]


def measure(
    directory: Path, model: Any, samples: int, seed: int = 0, progress: Callable[[int], object] = lambda done: None
) -> list[Row]:
    """The rows of quality.jsonl, one per portrait of the run in `directory`, after those that are missing are added.

    A row holds its time, the number of samples, the feature classifier, and each distance of the samples to the
    training images as `eval_NAME`, with that of as many real test images as `NAME_floor`. Rows of another number of
    samples or another classifier are measured again. `model` is left with the weights of the last portrait that was
    measured; `progress` is called with the number of further portraits. Raises UserError where there are no portraits,
    or too few samples for a covariance.
    """
    times = portraits.times(directory)
    if not times:
        raise UserError(
            f"{directory.name} has no portraits, the weights at its evaluations: train it without --no-portraits"
        )
    train, test = model.real("train"), model.real("test")
    order = shuffled(len(test))[: min(samples, REFERENCE_IMAGES)]
    if len(order) < 2 * FEATURES:
        raise UserError(
            f"--quality {len(order)}: {FEATURES} features need {2 * FEATURES} samples and as many test images, at least"
        )
    classifier = FeatureClassifier.cached(train, test)
    labels = test.labels[order] if test.labels is not None and model.conditional else None
    floor = {f"{name}_floor": v for name, v in distances_of(classifier, classifier.test_features[: len(order)]).items()}
    facts = {"samples": len(order), "classifier": classifier.name}
    known = Folder(directory).rows(logs.QUALITY)
    rows = {row["time"]: row for row in known if facts.items() <= row.items() and row.get("time") in times}
    for time in times:
        if time not in rows:
            portraits.restore(directory, model, time)
            batches = sample_batches(model, len(order), derive(seed, "judged samples"), labels)
            features, _ = classifier.features(torch.cat([to_bytes(x).cpu() for x in batches]))
            found = {f"eval_{name}": value for name, value in distances_of(classifier, features).items()}
            rows[time] = {"time": time, **facts, **found, **floor}
            lines = [json.dumps(rows[at]).encode() for at in sorted(rows)]
            logs.rewrite(directory / logs.QUALITY, lines)  # each time: an interruption keeps what is measured
        progress(1)
    return [rows[at] for at in sorted(rows)]
