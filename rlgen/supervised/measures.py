"""Measures of class predictions: accuracy, confusion matrix, per-class table, top losses, calibration.

Wilson 1927, doi:10.1080/01621459.1927.10502953 (intervals of shares); Guo et al. 2017, arXiv:1706.04599 (calibration
error, temperature scaling). Arrays in float64 on the CPU; N images, K classes, M of them listed.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NORMAL = 1.959963984540054  # standard errors on each side of a mean that cover it in 95 % of all cases
BINS = 15  # of a calibration diagram
COLDEST, HOTTEST = 1e-2, 1e2  # range of temperatures


class Interval(NamedTuple):
    """The ends of a 95 % interval."""

    low: Floats
    high: Floats


class PerClass(NamedTuple):
    """Precision, recall and F1 of each class, (K,) each with its interval; NaN where there is nothing to divide."""

    support: Integers  # (K,): images of the class
    precision: Floats
    precision_interval: Interval
    recall: Floats  # the accuracy on the images of the class
    recall_interval: Interval
    f1: Floats
    f1_interval: Interval


@dataclass(frozen=True)
class Pair:
    """Images of one class that were classified as another."""

    given: int
    predicted: int
    count: int


@dataclass(frozen=True)
class TopLosses:
    """The images with the highest losses, the highest first."""

    index: Integers  # (M,): of the images
    given: Integers  # (M,): their labels
    predicted: Integers  # (M,)
    loss: Floats  # (M,): nats
    probabilities: Floats  # (M, K)

    def first(self, count: int) -> "TopLosses":
        """The first `count` of them."""
        return TopLosses(**{name: values[:count] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Calibration:
    """Predictions in B bins of their confidence, the probability of the predicted class."""

    edges: Floats  # (B + 1,): a bin holds its right edge
    count: Integers  # (B,): predictions
    confidence: Floats  # (B,): mean; NaN in an empty bin
    accuracy: Floats  # (B,): NaN in an empty bin

    @property
    def error(self) -> float:
        """Expected calibration error: Σ count/N · |accuracy - confidence|, to which empty bins add nothing."""
        gap = np.where(self.count > 0, np.abs(self.accuracy - self.confidence), 0.0)
        return float((self.count * gap).sum() / self.count.sum())


def wilson(share: ArrayLike, n: ArrayLike) -> Interval:
    """The 95 % Wilson interval of shares among n trials, in [0, 1] and never of width 0; [0, 1] where n is 0."""
    p, n = np.broadcast_arrays(np.asarray(share, np.float64), np.asarray(n, np.float64))
    some, z2 = n > 0, NORMAL**2
    p, n = np.where(some, p, 0.5), np.where(some, n, 1.0)
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = np.where(p == 0, 0.0, middle - half), np.where(p == 1, 1.0, middle + half)
    return Interval(np.where(some, low, 0.0), np.where(some, high, 1.0))


def log_softmax(logits: ArrayLike) -> Floats:
    """Logarithms of the probabilities of logits (..., K), in the same shape: zᵢ - ln Σ exp z."""
    z = np.asarray(logits, np.float64)
    z = z - z.max(axis=-1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=-1, keepdims=True)))


def cross_entropy(log_probabilities: ArrayLike, labels: ArrayLike) -> Floats:
    """The loss -ln p(label) of each image in nats, (..., N, K) and (N,) -> (..., N)."""
    log_p, y = np.asarray(log_probabilities, np.float64), np.asarray(labels, np.int64)
    at = np.broadcast_to(y[..., None], (*log_p.shape[:-1], 1))
    return -np.take_along_axis(log_p, at, axis=-1)[..., 0]


def confusion(labels: ArrayLike, predictions: ArrayLike, classes: int) -> Integers:
    """The confusion matrix (K, K) of labels (N,) and predictions (..., N): a row per label, a column per prediction."""
    y, said = np.broadcast_arrays(np.asarray(labels, np.int64), np.asarray(predictions, np.int64))
    return np.bincount((y * classes + said).reshape(-1), minlength=classes**2).reshape(classes, classes)


def per_class(matrix: ArrayLike, networks: int = 1) -> PerClass:
    """The table of a confusion matrix (K, K) that holds the predictions of so many networks for the same images.

    Intervals are over the images: predictions of several networks for one image do not count as several images.
    With J = TP / (TP + FP + FN), F1 = 2J / (1 + J), and so are the ends of its interval.
    """
    counts = np.asarray(matrix, np.float64) / networks
    hits, given, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    either = given + predicted - hits
    recall, precision, jaccard = (_share(hits, of) for of in (given, predicted, either))
    low, high = wilson(jaccard, either)
    return PerClass(
        support=np.round(given).astype(np.int64),
        precision=precision,
        precision_interval=wilson(precision, predicted),
        recall=recall,
        recall_interval=wilson(recall, given),
        f1=2 * jaccard / (1 + jaccard),
        f1_interval=Interval(2 * low / (1 + low), 2 * high / (1 + high)),
    )


def most_confused(matrix: ArrayLike, count: int) -> list[Pair]:
    """The `count` most frequent errors in a confusion matrix (K, K), without those that never happened."""
    errors = np.array(matrix, np.int64)
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:count]
    pairs = (divmod(int(i), len(errors)) for i in order)
    return [Pair(given, said, int(errors[given, said])) for given, said in pairs if errors[given, said]]


def top_losses(log_probabilities: ArrayLike, labels: ArrayLike, count: int) -> TopLosses:
    """The `count` images of the highest loss among log probabilities (N, K), or (S, N, K) of S networks.

    Losses and probabilities are means over the networks.
    """
    log_p, y = np.asarray(log_probabilities, np.float64), np.asarray(labels, np.int64)
    log_p = log_p.reshape(-1, *log_p.shape[-2:])  # (S, N, K)
    loss = cross_entropy(log_p, y).mean(axis=0)
    index = np.argsort(-loss, kind="stable")[:count]
    probabilities = np.exp(log_p[:, index]).mean(axis=0)
    return TopLosses(index, y[index], probabilities.argmax(axis=-1), loss[index], probabilities)


def calibration(probabilities: ArrayLike, labels: ArrayLike, bins: int = BINS) -> Calibration:
    """Confidence and accuracy of probabilities (..., N, K) for labels (N,), in bins of equal width.

    Bin b holds confidences in (b/B, (b+1)/B]: 1.0 belongs to the last bin, not to one of its own.
    """
    p = np.asarray(probabilities, np.float64)
    confidence = p.max(axis=-1).reshape(-1)
    right = (p.argmax(axis=-1) == np.asarray(labels, np.int64)).reshape(-1)
    edges = np.linspace(0, 1, bins + 1)
    inside = np.searchsorted(edges[1:-1], confidence, side="left")
    count = np.bincount(inside, minlength=bins)
    sums = (np.bincount(inside, weights=values, minlength=bins) for values in (confidence, right))
    return Calibration(edges, count, *(_share(total, count) for total in sums))


def temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The T by which logits (..., N, K) are divided for the lowest mean loss on labels (N,); accuracy is unchanged.

    With β = 1/T the derivative of the loss, mean(Σ p z - z[label]), rises with β: its zero is found by bisection
    between `COLDEST` and `HOTTEST`. 1 where all logits of each image are equal.
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels, np.int64)
    z = z - z.max(axis=-1, keepdims=True)
    if not z.any():
        return 1.0
    label = -cross_entropy(z, y)  # (..., N): the logit of the label
    cold, hot = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(50):
        middle = (cold + hot) / 2
        p = np.exp(log_softmax(z / np.exp(middle)))
        if ((p * z).sum(axis=-1) - label).mean() > 0:  # β is too large, T too small
            cold = middle
        else:
            hot = middle
    return float(np.exp(middle))


def _share(part: ArrayLike, of: ArrayLike) -> Floats:
    """The quotient, NaN where the divisor is 0."""
    x, n = np.asarray(part, np.float64), np.asarray(of, np.float64)
    return np.asarray(np.divide(x, n, out=np.full(x.shape, np.nan), where=n > 0))
