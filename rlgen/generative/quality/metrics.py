"""Quality of a model's samples, beside that of as many real test images. No downloaded network is involved.

Distances are in the features of a small classifier of the dataset (`feature_classifier.py`). They compare only for the
same dataset, classifier and number of samples: `lenet_fid` is not the FID of an Inception network.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from rlgen.core.images import to_bytes
from rlgen.core.seeds import derive
from rlgen.data import Dataset, Split
from rlgen.generative.quality.distances import frechet, kernel_distance, manifolds, nearest
from rlgen.generative.quality.feature_classifier import FEATURES, REFERENCE_IMAGES, FeatureClassifier, shuffled
from rlgen.generative.sampling import Sampler, sample_batches

PRESENT = 0.1  # share of a class among samples, relative to that in the dataset, from which it counts as found
MEMORIZED_QUANTILE = 0.01  # of the neighbour ratio of test images, up to which a sample counts as memorised
MEMORIZATION_IMAGES = 1_000  # samples and test images whose neighbours are searched
NEIGHBOURS = 5  # the nearest training image is compared with this one
MEANING = {
    "lenet_fid": "Fréchet distance of features to those of all training images; 0 is best",
    "random_fid": "Fréchet distance in the features of an untrained network; 0 is best",
    "kid": "squared kernel distance of features to those of training images; 0 is best",
    "precision": "share of samples inside the manifold of real images",
    "recall": "share of real images inside the manifold of samples",
    "density": "density of real images around samples; 1 for real images",
    "coverage": "share of real images with a sample nearby",
    "classes_found": "number of classes with at least a tenth of their share in the dataset",
    "class_kl": "KL divergence in nats of the classes of samples from those of the dataset; 0 is best",
    "confidence": "mean probability of the predicted class",
    "label_accuracy": "share of samples classified as the label they were sampled with",
    "nearest_distance": "median distance to the nearest training image, root mean square per pixel",
    "memorization_rate": "share of samples as close to one training image as 1 % of the test images are",
}


class Evaluated(Sampler, Protocol):
    """A model whose samples can be compared with images."""

    @property
    def conditional(self) -> bool:
        """Whether `sample` takes labels."""
        ...

    def load(self, split: Split) -> Dataset:
        """The images of a split as they are stored."""
        ...

    def real(self, split: Split) -> Dataset:
        """The images of a split in the form of the samples, such as binarised."""
        ...


def evaluate(
    model: Evaluated,
    samples: int = REFERENCE_IMAGES,
    seed: int = 0,
    progress: Callable[[int], object] = lambda done: None,
) -> dict[str, Any]:
    """Every metric in MEANING of `samples` samples; under "real_data_reference" those of as many real test images.

    There are at most as many samples as test images, so that both have the same bias. "left_out" holds the metrics that
    could not be computed, with the reason. `progress` is called with the number of further samples drawn.
    """
    train, test = model.real("train"), model.real("test")
    classifier = FeatureClassifier.cached(train, test)
    order = shuffled(len(test))[: min(samples, REFERENCE_IMAGES)]
    count = len(order)
    labels = test.labels[order] if test.labels is not None and model.conditional else None
    chunks = []
    for chunk in sample_batches(model, count, derive(seed, "judged samples"), labels):
        chunks.append(to_bytes(chunk).cpu())  # bytes, as the real images
        progress(len(chunk))
    images = torch.cat(chunks)
    features, logits = classifier.features(images)
    real_features = classifier.test_features[:count]
    real_logits = classifier.classify(real_features)
    left_out = {}
    scores, reference = distances_of(classifier, features), distances_of(classifier, real_features)
    if not scores:
        left_out["distances"] = f"{count} images are too few for {FEATURES} features: {2 * FEATURES} are needed"
    if classifier.accuracy is None:
        left_out["classes"] = "the dataset has no two classes, so the features are those of an untrained network"
    else:
        scores |= _classes(classifier, logits)
        reference |= _classes(classifier, real_logits)
        if labels is not None:
            scores["label_accuracy"] = (logits.argmax(1) == labels).double().mean().item()
            reference["label_accuracy"] = (real_logits.argmax(1) == labels).double().mean().item()
    stored = model.load("train").images
    distances, _ = nearest(images[:MEMORIZATION_IMAGES], stored, NEIGHBOURS)
    real_distances, _ = nearest(test.images[shuffled(len(test))[:MEMORIZATION_IMAGES]], stored, NEIGHBOURS)
    scores |= _memorization(distances, real_distances)
    reference |= _memorization(real_distances, real_distances)
    return {
        "samples": count,
        "feature_classifier": classifier.name,
        "classifier_accuracy": classifier.accuracy,
        **scores,
        "real_data_reference": reference,
        "classes": {} if classifier.accuracy is None else _shares(logits, train.classes),
        "left_out": left_out,
    }


def distances_of(classifier: FeatureClassifier, features: Tensor) -> dict[str, float]:
    """Distances of features (N, 128) to those of training images; none where N is too small for a covariance."""
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
    """Metrics of the predicted classes, logits (N, K); classes without training images are left out."""
    present = classifier.shares > 0
    expected, logits = classifier.shares[present], logits[:, present]
    confidence, predicted = logits.softmax(1).max(1)
    shares = predicted.bincount(minlength=len(expected)).double() / len(predicted)
    return {
        "classes_found": float((shares >= PRESENT * expected).sum()),
        "class_kl": float(torch.xlogy(shares, shares / expected).sum()),
        "confidence": confidence.double().mean().item(),
    }


def _memorization(distances: Tensor, test_distances: Tensor) -> dict[str, float]:
    """Metrics of the distances (N, k) of samples, and (M, k) of test images, to their nearest training images.

    An image counts as memorised by the ratio of its distances to the nearest and to the k-th nearest training image.
    The distance alone does not separate copies where images are binarised at random: that noise has the same size for
    copies and for other images.
    """
    threshold = _ratio(test_distances).quantile(MEMORIZED_QUANTILE)
    return {
        "nearest_distance": distances[:, 0].median().item(),
        "memorization_rate": (_ratio(distances) <= threshold).double().mean().item(),
    }


def _ratio(distances: Tensor) -> Tensor:
    return distances[:, 0] / distances[:, -1].clamp(min=1e-12)


def _shares(logits: Tensor, classes: tuple[str, ...]) -> dict[str, float]:
    counts = logits.argmax(1).bincount(minlength=len(classes)).tolist()
    return {name: count / len(logits) for name, count in zip(classes, counts, strict=True)}
