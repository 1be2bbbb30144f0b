"""How good a model's samples are, beside how good real test images would be: nothing is downloaded for it.

Distances are taken in the features of a small classifier of the dataset (`judge.py`). They compare with others of the
same judge, number of samples and dataset, and with nothing else: `lenet_fid` is no FID.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rlgen.core.seeds import derive
from rlgen.generative.base import Generative, parts
from rlgen.generative.quality.distances import frechet, kernel_distance, manifolds, nearest
from rlgen.generative.quality.feature_classifier import FEATURES, KEPT, PROBES, Judge, shuffled

PRESENT = 0.1  # of the share it has in the dataset: from there on a class counts as found
COPIED = 0.01  # share of test images that are nearer to a training image than a copy is thought to be
MEANING = {
    "lenet_fid": "Fréchet distance of the features to those of all training images; 0 is best",
    "random_fid": "the same in the features of an untrained network",
    "kid": "squared kernel distance of the features to those of training images; 0 is best",
    "precision": "share of samples that lie where real images do",
    "recall": "share of real images that lie where samples do",
    "density": "how densely real images lie around a sample; 1 is real",
    "coverage": "share of real images with a sample nearby",
    "classes_found": "classes that make up a tenth of their share at least",
    "class_kl": "nats between the classes of the samples and those of the dataset; 0 is best",
    "confidence": "mean probability of the class the judge sees",
    "obeyed": "share of samples the judge gives the class that was asked for",
    "nearest": "median distance to the nearest training image; far below the real one, they are copies",
    "copied": "share of samples nearer to a training image than 99 % of the test images are",
}


def evaluate(
    model: Generative, samples: int = KEPT, seed: int = 0, progress: Callable[[int], object] = lambda done: None
) -> dict[str, Any]:
    """Every measure of `samples` images of a model, and under "floor" the same of as many real test images.

    Takes as many samples as there are test images at most, so that both have the same bias. "left_out" says what
    could not be measured and why. `progress` is told how many more samples have been drawn.
    """
    train, test = model.real("train"), model.real("test")
    judge = Judge.of(train, test)
    order = shuffled(len(test))[: min(samples, KEPT)]
    count = len(order)
    asked = test.labels[order] if test.labels is not None and model.conditional else None
    drawn = []
    for part in parts(model, count, derive(seed, "judged samples"), asked):
        drawn.append((part * 255).round().byte().cpu())  # in bytes, as the real ones are
        progress(len(part))
    images = torch.cat(drawn)
    features, logits = judge.look(images)
    held_out = judge.held_out[:count]
    real_logits = judge.classify(held_out)
    left_out = {}
    scores, floor = _distances(judge, features), _distances(judge, held_out)
    if not scores:
        left_out["distances"] = f"{count} images are too few for {FEATURES} features: {2 * FEATURES} are needed"
    if judge.accuracy is None:
        left_out["classes"] = "the dataset has no two classes, so the features are those of an untrained network"
    else:
        scores |= _classes(judge, logits)
        floor |= _classes(judge, real_logits)
        if asked is not None:
            scores["obeyed"] = (logits.argmax(1) == asked).double().mean().item()
            floor["obeyed"] = (real_logits.argmax(1) == asked).double().mean().item()
    away, _ = nearest(images[:PROBES], train.images)
    scores |= _copies(judge, away)
    floor |= _copies(judge, judge.held_out_nearest)
    return {
        "samples": count,
        "judge": judge.name,
        "judge_accuracy": judge.accuracy,
        **scores,
        "floor": floor,
        "classes": {} if judge.accuracy is None else _shares(logits, train.classes),
        "left_out": left_out,
    }


def _distances(judge: Judge, features: Tensor) -> dict[str, float]:
    """(N, 128) features against those of training images; none where N is too small for a covariance."""
    if len(features) < 2 * FEATURES:
        return {}
    reference = judge.reference[: len(features)]
    double = features.double()
    return {
        "random_fid" if judge.accuracy is None else "lenet_fid": frechet(
            double.mean(0), double.T.cov(), judge.mean, judge.covariance
        ),
        "kid": kernel_distance(features, reference),
        **manifolds(reference, features)._asdict(),
    }


def _classes(judge: Judge, logits: Tensor) -> dict[str, float]:
    """What the judge sees in logits (N, K), among the classes of which there are training images."""
    known = judge.shares > 0
    real, logits = judge.shares[known], logits[:, known]
    confidence, found = logits.softmax(1).max(1)
    shares = found.bincount(minlength=len(real)).double() / len(found)
    return {
        "classes_found": float((shares >= PRESENT * real).sum()),
        "class_kl": float(torch.xlogy(shares, shares / real).sum()),
        "confidence": confidence.double().mean().item(),
    }


def _copies(judge: Judge, away: Tensor) -> dict[str, float]:
    """Of distances (N,) to the nearest training image."""
    close = judge.held_out_nearest.quantile(COPIED)
    return {"nearest": away.median().item(), "copied": (away <= close).double().mean().item()}


def _shares(logits: Tensor, classes: tuple[str, ...]) -> dict[str, float]:
    counts = logits.argmax(1).bincount(minlength=len(classes)).tolist()
    return {name: count / len(logits) for name, count in zip(classes, counts, strict=True)}
