"""k-nearest neighbours: a classifier that remembers the training images and lets the nearest vote.

Cover & Hart 1967, doi:10.1109/TIT.1967.1053964. Cross-validation of k: Stone 1974, JRSS B 36.
Shapes: Q queries, k neighbours, K classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rlgen import data
from rlgen.core.algorithm import Metrics, Progress, Report
from rlgen.core.errors import UserError
from rlgen.core.images import from_bytes
from rlgen.core.settings import Setup
from rlgen.core.tables import table
from rlgen.data import splits
from rlgen.data.order import Order
from rlgen.supervised import losses, measures, settings
from rlgen.supervised.base import ImageClassifier
from rlgen.supervised.neighbours import Memory, Metric, Neighbours

METRICS: tuple[Metric, ...] = ("l1", "l2")
CHUNK_SIZE = 200  # images compared with the memory at once
SPREAD = 0.1  # of a vote, shared by all classes, so that no probability is 0
SHOWN = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100)  # rows of the table by k, with those that are chosen


class KNN(ImageClassifier):
    """The remembered images, and the accuracy of each metric and k on images that choose them.

    Its time counts images whose neighbours were looked up to choose metric and k: training images, with neighbours in
    other folds, or validation images. An epoch takes each of them once; further epochs have other folds.
    """

    Config = settings.KNN
    config: settings.KNN
    state = ("order", "right", "compared", "time")

    def __init__(self, task: str, config: settings.KNN, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.score = "eval_validation_accuracy"
        self.loss = losses.loss("softmax")
        self.metrics: tuple[Metric, ...] = METRICS if config.metric is None else (config.metric,)
        self.ks = range(1, config.max_k + 1) if config.k is None else range(config.k, config.k + 1)
        self.queries = self.validation_set if len(self.validation_set) else self.train_set
        self.memory = Memory(_vectors(self.train_set.images))
        self.hashes = splits.hashes(self.queries.images)
        self.order = Order(len(self.queries), CHUNK_SIZE, setup.seed, torch.device("cpu"))
        self.right = torch.zeros(len(self.metrics), len(self.ks), dtype=torch.int64)  # by metric and k
        self.compared = 0  # images
        self._folds: tuple[int, Tensor] | None = None  # an epoch and the folds of its images (N,)
        if not len(self.validation_set):
            self.folds()  # refuses more folds than images of a class before a run folder is claimed
        enough = len(self.train_set) - len(self.train_set) // config.folds
        if self.ks[-1] > enough:
            flag = "--max-k" if config.k is None else "--k"
            raise UserError(f"{flag} {self.ks[-1]}: an image has {enough:,} others to compare with: take at most these")

    def describe_task(self) -> dict[str, str]:
        """Facts about the dataset, and what chooses metric and k."""
        held_out = f"{len(self.queries):,} validation images"
        how = held_out if len(self.validation_set) else f"cross-validation in {self.config.folds} folds"
        return {**super().describe_task(), "choice of k": how}

    def step(self) -> Metrics:
        """Look up the neighbours of a chunk of the images that choose metric and k, and count the right votes."""
        index = self.order.next_index()[0]
        folds = None if len(self.validation_set) else self.folds()
        self.memory.folds = folds
        vectors = _vectors(self.queries.images[index])
        labels = _labels(self.queries)[index]
        right = torch.stack([
            (self.votes(vectors, self.ks, metric, None if folds is None else folds[index]).argmax(2) == labels).sum(1)
            for metric in self.metrics
        ])  # (metrics, ks)  # fmt: skip
        self.right += right
        self.compared += len(index)
        self.time += len(index)
        chosen = self.chosen()
        return {"accuracy": right[self.metrics.index(chosen[0]), self.ks.index(chosen[1])] / len(index)}

    def folds(self) -> Tensor:
        """The fold (N,) of each training image in this epoch."""
        epoch = self.order.epoch
        if self._folds is None or self._folds[0] != epoch:
            other = self.hashes ^ (epoch * 0x5851F42D4C957F2D % 2**63)
            self._folds = epoch, splits.folds(_labels(self.train_set), other, self.config.folds, self.classes)
        return self._folds[1]

    def votes(self, vectors: Tensor, ks: Sequence[int], metric: Metric, folds: Tensor | None = None) -> Tensor:
        """Votes (ks, Q, K) of the k nearest neighbours for each class, for every k in `ks`, in float64."""
        found = self.memory.nearest(vectors, ks[-1], metric, folds)
        labels = _labels(self.train_set)[found.place]
        votes = cumulative_votes(found, labels, len(self.classes), self.config.weights == "distance")
        return votes[[k - 1 for k in ks]]

    def chosen(self, metric: Metric | None = None) -> tuple[Metric, int]:
        """The metric, of all or this one, and k of the highest accuracy so far; of equal ones the smallest k."""
        rows = range(len(self.metrics)) if metric is None else [self.metrics.index(metric)]
        counts = self.right[list(rows)]
        row, column = divmod(int(counts.flatten().argmax()), len(self.ks))
        return self.metrics[rows[row]], self.ks[column]

    def evaluate(self) -> Metrics:
        """The accuracy of the chosen metric and k, and of each metric at its best k; nothing before the first step."""
        if not self.compared:
            return {}
        best = {f"eval_{m}_accuracy": self.right[i].max() / self.compared for i, m in enumerate(self.metrics)}
        return {"eval_validation_accuracy": self.right.max() / self.compared, **best, "eval_k": self.chosen()[1]}

    def logits(self, images: Tensor, metric: Metric | None = None) -> Tensor:
        """Logarithms (1, N, K) of the shares of the votes, of which `SPREAD` of one vote is shared by all classes.

        By the chosen metric and k, or by `metric` and the best k for it.
        """
        by, k = self.chosen(metric)
        votes = torch.cat([self.votes(_vectors(chunk), [k], by)[0] for chunk in torch.split(images, CHUNK_SIZE)])
        return self.shares(votes, k).log().float().unsqueeze(0)

    def shares(self, votes: Tensor, k: int) -> Tensor:
        """Probabilities (N, K) by votes (N, K) of k neighbours."""
        return (k * votes / votes.sum(1, keepdim=True) + SPREAD / votes.shape[1]) / (k + SPREAD)

    def unseen(self) -> Tensor:
        """(N,) bool, of all training images: those of folds, whose neighbours are in other folds, or of validation."""
        if len(self.validation_set):
            return super().unseen()
        return torch.zeros_like(self.held_out).index_fill(0, self.train_index, True)

    def unseen_scores(self, index: Tensor) -> Tensor:
        """Logarithms of the probabilities (n, K) of those of all training images (n,) that are unseen."""
        if len(self.validation_set):
            return super().unseen_scores(index)
        place = torch.empty_like(self.held_out, dtype=torch.int64)
        place[self.train_index] = torch.arange(len(self.train_index))
        folds, (metric, k) = self.folds(), self.chosen()
        self.memory.folds = folds
        return torch.cat([
            self.shares(self.votes(_vectors(self.train_set.images[rows]), [k], metric, folds[rows])[0], k).log()
            for rows in torch.split(place[index], CHUNK_SIZE)
        ]).float()  # fmt: skip

    def report(self, count: int, seed: int, progress: Progress = lambda done: None) -> Report:
        """Final scores on test images, and beside them each metric by k."""
        found = super().report(count, seed, progress)
        images = self.test_images(count, seed)
        labels, best = _labels(images), self.chosen()
        by_metric: dict[str, Any] = {}
        for row, metric in enumerate(self.metrics):
            _, k = self.chosen(metric)
            if metric == best[0]:
                accuracy = found.values["accuracy"]
            else:
                accuracy = float((self.logits(images.images, metric)[0].argmax(1) == labels).double().mean())
            low, high = measures.wilson(accuracy, len(images))
            by_metric[metric] = {
                "k": k,
                "accuracy": accuracy,
                "ci95": [float(low), float(high)],
                "validation_accuracy": (self.right[row] / max(self.compared, 1)).tolist(),
            }
        values = {"metric": best[0], "k": best[1], "compared": self.compared, "ks": list(self.ks), "metrics": by_metric}
        lines = [f"chosen  k = {best[1]} by {best[0]}", *self._lines(by_metric)]
        return Report({**found.values, **values}, [*found.lines, *lines], found.details, found.grids)

    def _lines(self, by_metric: dict[str, Any]) -> list[str]:
        """The table of validation accuracies by k, and the test accuracy of each metric at its best k."""
        wanted = {*SHOWN, *(found["k"] for found in by_metric.values())}
        rows = [
            [str(k), *(f"{found['validation_accuracy'][i]:.2%}" for found in by_metric.values())]
            for i, k in enumerate(self.ks)
            if k in wanted
        ]
        tests = [
            f"{found['accuracy']:.2%} at k = {found['k']} ({found['ci95'][0]:.2%} to {found['ci95'][1]:.2%})"
            for found in by_metric.values()
        ]
        title = f"accuracy on {self.compared:,} images that chose metric and k, then on test images"
        return [title, *table(["k", *by_metric], [*rows, ["test", *tests]])] if self.compared else []

    def parameter_count(self) -> int:
        """0: nothing is learned by gradients, the images are remembered."""
        return 0


def cumulative_votes(found: Neighbours, labels: Tensor, classes: int, by_distance: bool) -> Tensor:
    """Votes (k, Q, K) of the 1, 2, ... k nearest neighbours with these labels (Q, k), in float64.

    A vote counts 1, or 1 / distance. Of classes with equal votes that of the nearest neighbour leads: the neighbour
    at rank r adds 2⁻ʳ of a millionth.
    """
    near = found.distance.double().clamp(min=1e-9)
    weights = 1 / near if by_distance else torch.ones_like(near)
    ranks = torch.arange(1, labels.shape[1] + 1, dtype=torch.float64)
    weights = weights + 1e-6 * 2**-ranks
    return (F.one_hot(labels, classes) * weights.unsqueeze(2)).cumsum(1).transpose(0, 1)


def _vectors(images: Tensor) -> Tensor:
    """Images (N, C, H, W), bytes or in [0, 1], as vectors (N, D) in [0, 1]."""
    return (from_bytes(images) if images.dtype == torch.uint8 else images.float()).flatten(1).contiguous()


def _labels(dataset: data.Dataset) -> Tensor:
    assert dataset.labels is not None
    return dataset.labels
