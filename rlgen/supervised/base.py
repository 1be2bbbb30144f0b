"""The base of all classifiers: images, validation split, evaluation, report and `predict`."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rlgen import data
from rlgen.core import device
from rlgen.core.algorithm import Metrics, Progress, Report
from rlgen.core.errors import UserError
from rlgen.core.images import Grid
from rlgen.core.notebook import Bundle, bundle, facts_of, tiles
from rlgen.core.seeds import torch_stream
from rlgen.core.settings import Setup
from rlgen.core.state import Stateful
from rlgen.data import splits
from rlgen.data.classes import only_classes
from rlgen.supervised.losses import Loss
from rlgen.supervised.scores import report

VALIDATION_IMAGES = 5_000  # by which the temperature of a report is fitted, at most
TRAINING_IMAGES = 5_000  # of an evaluation, without augmentation, beside the validation images


class ImageClassifier(Stateful):
    """A classifier of the images of a dataset. Shapes: S seeds or members, N images, K classes.

    A classifier implements `step`, `logits`, `parameter_count` and names its `state`.
    """

    score: str | None = "eval_validation_accuracy"
    restartable: bool = True  # a step may be abandoned: it changes nothing but the state
    axis: str = "seeds"  # meaning of the S axis: seeds, or the folds of cross-validation
    loss: Loss  # of logits and labels, without label smoothing

    def __init__(self, task: str, config: Any, setup: Setup) -> None:
        self.config, self.seed, self.time = config, setup.seed, 0
        self.device = device.choose(setup, accelerate=True)
        self.task = data.resolve(task)
        train, self.test_set = self.load("train"), self.load("test")
        if train.labels is None:
            raise UserError(f"{self.task} has no labels: put the images of each class into a folder of its own")
        if absent := splits.absent(train.labels, train.classes):
            raise UserError(f"{self.task} has no training image of class {', '.join(absent)}: add images of it")
        self.digest, self.classes = train.digest, train.classes
        channels, height, width = train.images.shape[1:]
        self.shape = (channels, height, width)
        hashes = splits.hashes(train.images)
        self.duplicates = splits.duplicates(hashes, splits.hashes(self.test_set.images))
        held_out = torch.zeros(len(train), dtype=torch.bool)
        if config.held_out:
            held_out = splits.validation(train.labels, hashes, config.held_out, train.classes)
        else:
            self.score = None  # the test images choose nothing
        self.held_out = held_out  # (N,) bool, of all training images in the order of the dataset
        self.train_set, self.validation_set = train.take(~held_out), train.take(held_out)
        self.train_index = (~held_out).nonzero().squeeze(1)  # (n,) of the training set among all training images
        if config.train_images:
            assert self.train_set.labels is not None
            draw = torch_stream(setup.seed, "training images chosen")
            chosen = splits.sample(self.train_set.labels, config.train_images, draw)
            self.train_set, self.train_index = self.train_set.take(chosen), self.train_index[chosen]
        self.mean, self.std = splits.statistics(self.train_set.images)  # (C,)
        order = torch.randperm(len(self.train_set), generator=torch_stream(setup.seed, "training images evaluated"))
        self.shown_index = order[:TRAINING_IMAGES]
        self.shown = self.train_set.take(self.shown_index)

    @property
    def epoch_images(self) -> int:
        """Training images."""
        return len(self.train_set)

    def load(self, split: data.Split) -> data.Dataset:
        """The images of a split as they are stored."""
        config = self.config
        images = data.load(self.task, split, data=config.data, size=config.size, skip_bad=config.skip_bad)
        return only_classes(images, config.only_classes) if config.only_classes else images

    def describe_task(self) -> dict[str, str]:
        """Facts about the dataset: number of images, classes, shape of an image, splits, duplicates."""
        share = f", {len(self.validation_set):,} for validation" if len(self.validation_set) else ""
        facts = data.describe(self.train_set, self.test_set, share)
        repeated = {"duplicates": f"{self.duplicates:,} test images are training images as well"}
        return {**facts, **(repeated if self.duplicates else {})}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        """In a notebook: facts, and the filters of the first layer where there are any to draw."""
        filters = self.draw().get("filters.png")
        title = f"{type(self).__name__} of {self.task} after {self.time:,} images"
        return bundle(title, facts_of(self), None if filters is None else tiles(filters.images, filters.columns))

    def logits(self, images: Tensor) -> Tensor:
        """Scores (S, N, K) of images (N, C, H, W), bytes or in [0, 1], on the CPU."""
        raise NotImplementedError

    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        raise NotImplementedError

    def evaluate(self) -> Metrics:
        """Accuracy and loss of each seed on training images without augmentation, and on validation images.

        Without a validation split the test images take its place, under their own name.
        """
        held_out = ("validation", self.validation_set) if len(self.validation_set) else ("test", self.test_set)
        metrics: dict[str, Tensor | float] = {}
        for name, images in (("train", self.shown), held_out):
            assert images.labels is not None
            scores = self.logits(images.images)
            labels = images.labels.expand(scores.shape[:2])
            metrics[f"eval_{name}_accuracy"] = (scores.argmax(-1) == labels).double().mean(1)
            metrics[f"eval_{name}_loss"] = self.loss(scores, labels).double().mean(1)
        if not self.time:  # beside the loss of equal scores: ln K of the cross entropy
            metrics["eval_initial_loss"] = metrics["eval_train_loss"]
            metrics["eval_uniform_loss"] = self.loss(torch.zeros(1, len(self.classes)), torch.zeros(1).long()).mean()
        return metrics

    def draw(self) -> dict[str, Grid]:
        """No grids of images."""
        return {}

    def report(self, count: int, seed: int, progress: Progress = lambda done: None) -> Report:
        """Final scores on the test images, or on `count` of them, drawn by `seed`, where it is above 0."""
        images = self.test_images(count, seed)
        found = self.report_of(images, self.logits(images.images))
        progress(len(images))
        return found

    def report_of(self, images: data.Dataset, scores: Tensor) -> Report:
        """The report of scores (S, N, K) of images (N, C, H, W)."""
        return report(scores, images, self.loss, self._validation_scores(), self.axis)

    def _validation_scores(self) -> tuple[Tensor, Tensor] | None:
        """Scores (S, M, K) and labels (M,) of validation images; None without any."""
        held_out = self.validation_set.take(slice(VALIDATION_IMAGES))
        if held_out.labels is None or not len(held_out):
            return None
        return self.logits(held_out.images), held_out.labels

    def unseen(self) -> Tensor:
        """(N,) bool, of all training images in the order of the dataset: those without a part in the training."""
        return self.held_out

    def unseen_scores(self, index: Tensor) -> Tensor:
        """Logarithms of the probabilities (n, K) of those of all training images (n,) that are unseen."""
        place = self.held_out.cumsum(0)[index] - 1  # in the validation split
        return self.probabilities(self.logits(self.validation_set.images[place])).log()

    def test_images(self, count: int, seed: int) -> data.Dataset:
        """All test images, or `count` of them, drawn by `seed`, where it is above 0."""
        if not 0 < count < len(self.test_set):
            return self.test_set
        chosen = torch.randperm(len(self.test_set), generator=torch_stream(seed, "test images"))[:count]
        return self.test_set.take(chosen)

    def predict(self, images: ArrayLike | Tensor) -> NDArray[np.float32]:
        """Probabilities (N, K) of the classes of images (N, C, H, W), bytes or in [0, 1]; (K,) of one (C, H, W).

        Grey images may lack C: (N, H, W), or one (H, W). Of several seeds the first one predicts. Raises UserError
        for images of another shape, or with numbers outside of [0, 1].
        """
        x = (images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))).detach().cpu()
        channels, height, width = self.shape
        if channels == 1 and x.ndim in (2, 3) and tuple(x.shape[-2:]) == (height, width):
            x = x.unsqueeze(-3)
        if x.ndim not in (3, 4) or tuple(x.shape[-3:]) != self.shape:
            shape = f"{channels}, {height}, {width}"
            raise UserError(f"images of shape {tuple(x.shape)}: this classifier takes (N, {shape}), or one ({shape})")
        if x.dtype != torch.uint8:
            x = x.float()
            if x.numel() and not (x.min() >= 0 and x.max() <= 1):
                raise UserError(
                    f"images with values from {x.min():.4g} to {x.max():.4g}: a classifier takes bytes (uint8), or"
                    " numbers in [0, 1]"
                )
        found = self.probabilities(self.logits(x if x.ndim == 4 else x[None]))
        return np.asarray((found if x.ndim == 4 else found[0]).numpy(), np.float32)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Probabilities (N, K) by scores (S, N, K)."""
        return scores[0].softmax(-1)
