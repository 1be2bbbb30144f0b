"""How good a model's samples are, beside how good real test images would be: nothing is downloaded for it.

Distances are taken in the features of a small classifier of the dataset (`feature_classifier.py`). They compare with
others of the same classifier, number of samples and dataset, and with nothing else: `lenet_fid` is no FID.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rlgen.core.seeds import derive
from rlgen.generative.base import Generative, sample_batches
from rlgen.generative.quality.distances import frechet, kernel_distance, manifolds, nearest
from rlgen.generative.quality.feature_classifier import FEATURES, KEPT, PROBES, FeatureClassifier, shuffled

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
    "confidence": "mean probability of the class the classifier sees",
    "label_accuracy": "share of samples the classifier gives the class that was asked for",
    "nearest_distance": "median distance to the nearest training image; far below the real one, they are copies",
    "memorization_rate": "share of samples nearer to a training image than 99 % of the test images are",
}


def evaluate(
    model: Generative, samples: int = KEPT, seed: int = 0, progress: Callable[[int], object] = lambda done: None
) -> dict[str, Any]:
    """Every measure of `samples` images of a model; under "real_data_reference" those of as many real test images.

    Takes as many samples as there are test images at most, so that both have the same bias. "left_out" says what
    could not be measured and why. `progress` is told how many more samples have been drawn.
    """
    train, test = model.real("train"), model.real("test")
    classifier = FeatureClassifier.of(train, test)
    order = shuffled(len(test))[: min(samples, KEPT)]
    count = len(order)
    asked = test.labels[order] if test.labels is not None and model.conditional else None
    drawn = []
    for part in sample_batches(model, count, derive(seed, "judged samples"), asked):
        drawn.append((part * 255).round().byte().cpu())  # in bytes, as the real ones are
        progress(len(part))
    images = torch.cat(drawn)
    features, logits = classifier.look(images)
    test_features = classifier.test_features[:count]
    real_logits = classifier.classify(test_features)
    left_out = {}
    scores, reference_scores = _distances(classifier, features), _distances(classifier, test_features)
    if not scores:
        left_out["distances"] = f"{count} images are too few for {FEATURES} features: {2 * FEATURES} are needed"
    if classifier.accuracy is None:
        left_out["classes"] = "the dataset has no two classes, so the features are those of an untrained network"
    else:
        scores |= _classes(classifier, logits)
        reference_scores |= _classes(classifier, real_logits)
        if asked is not None:
            scores["label_accuracy"] = (logits.argmax(1) == asked).double().mean().item()
            reference_scores["label_accuracy"] = (real_logits.argmax(1) == asked).double().mean().item()
    away, _ = nearest(images[:PROBES], train.images)
    scores |= _copies(classifier, away)
    reference_scores |= _copies(classifier, classifier.test_nearest_distances)
    return {
        "samples": count,
        "feature_classifier": classifier.name,
        "classifier_accuracy": classifier.accuracy,
        **scores,
        "real_data_reference": reference_scores,
        "classes": {} if classifier.accuracy is None else _shares(logits, train.classes),
        "left_out": left_out,
    }


def _distances(classifier: FeatureClassifier, features: Tensor) -> dict[str, float]:
    """(N, 128) features against those of training images; none where N is too small for a covariance."""
    if len(features) < 2 * FEATURES:
        return {}
    reference = classifier.reference[: len(features)]
    double = features.double()
    return {
        "random_fid" if classifier.accuracy is None else "lenet_fid": frechet(
            double.mean(0), double.T.cov(), classifier.mean, classifier.covariance
        ),
        "kid": kernel_distance(features, reference),
        **manifolds(reference, features)._asdict(),
    }


def _classes(classifier: FeatureClassifier, logits: Tensor) -> dict[str, float]:
    """What the classifier sees in logits (N, K), among the classes of which there are training images."""
    known = classifier.shares > 0
    real, logits = classifier.shares[known], logits[:, known]
    confidence, found = logits.softmax(1).max(1)
    shares = found.bincount(minlength=len(real)).double() / len(found)
    return {
        "classes_found": float((shares >= PRESENT * real).sum()),
        "class_kl": float(torch.xlogy(shares, shares / real).sum()),
        "confidence": confidence.double().mean().item(),
    }


def _copies(classifier: FeatureClassifier, away: Tensor) -> dict[str, float]:
    """Of distances (N,) to the nearest training image."""
    close = classifier.test_nearest_distances.quantile(COPIED)
    return {"nearest_distance": away.median().item(), "memorization_rate": (away <= close).double().mean().item()}


def _shares(logits: Tensor, classes: tuple[str, ...]) -> dict[str, float]:
    counts = logits.argmax(1).bincount(minlength=len(classes)).tolist()
    return {name: count / len(logits) for name, count in zip(classes, counts, strict=True)}
