"""Stacking: a linear combination of classifiers, fitted on images that none of them was trained on.

Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1. Shapes: M members, N images, K classes.
"""

import json
import math
from importlib import import_module
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core.algorithm import Metrics, Progress, Report
from rlgen.core.config import resolve
from rlgen.core.errors import UserError
from rlgen.core.optim import Optimization
from rlgen.core.optim.settings import OptimizerSettings
from rlgen.core.settings import Setup
from rlgen.core.state import State, Stateful
from rlgen.core.tables import table
from rlgen.data import splits
from rlgen.supervised import losses, measures, settings
from rlgen.supervised.base import ImageClassifier

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # from which cross-validation chooses
FOLDS, ITERATIONS = 5, 100  # of that choice: folds, and iterations of L-BFGS at most
LEAST = -15.0  # logarithm of a probability, at least: a certain error of one member decides nothing alone


class Member(NamedTuple):
    """A classifier that is combined, as it stands in run.json of the stack."""

    name: str  # of its run
    lives: str  # module:class in this package
    config: dict[str, Any]
    seed: int


class Combination(nn.Module):
    """ln p = W x + b for the logarithms x of the members' probabilities, (N, M · K) -> (N, K), in float64.

    W = W₀ + `change`, where W₀ takes the mean over the members; the penalty is on the change.
    """

    def __init__(self, members: int, classes: int) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(classes, members * classes, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(classes, dtype=torch.float64))
        self.mean: Tensor = torch.eye(classes, dtype=torch.float64).repeat(1, members) / members

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of the classes."""
        return F.linear(x, self.mean + self.change, self.bias)


class Members(Stateful):
    """The classifiers, each with its state by its name."""

    def __init__(self, classifiers: dict[str, ImageClassifier]) -> None:
        self.classifiers = classifiers

    def state_dict(self) -> State:
        """The state of every classifier."""
        return {name: classifier.state_dict() for name, classifier in self.classifiers.items()}

    def load_state_dict(self, saved: State) -> None:
        """Restore the result of `state_dict`."""
        for name, classifier in self.classifiers.items():
            classifier.load_state_dict(saved[name])


class Stack(ImageClassifier):
    """A multinomial logistic regression on the members' predictions for unseen images, and the members themselves.

    Its time counts images: each step is an iteration of L-BFGS on all of them.
    """

    Config = settings.Stack
    config: settings.Stack
    state = ("members", "combination", "penalty", "optimization", "time")

    def __init__(self, task: str, config: settings.Stack, setup: Setup) -> None:
        described = [Member(**member) for member in json.loads(config.members)]
        found = {member.name: _build(task, member, setup) for member in described}
        check(found)
        first = next(iter(found.values()))
        super().__init__(task, config, setup)
        self.score = None  # what the combination is fitted on ranks nothing
        self.loss = losses.loss("softmax")
        self.members = Members(found)
        unseen = torch.stack([classifier.unseen() for classifier in found.values()]).all(0)
        self.index = unseen.nonzero().squeeze(1)  # (n,) of the images for the fit among all training images
        images = self.load("train").take(self.index)
        assert images.labels is not None
        self.fitted = images
        self.labels = images.labels
        self.combination = Combination(len(found), len(first.classes))
        self.penalty = config.weight_decay or 0.0
        self.optimization = _optimization(self.combination, self.penalty)
        self._inputs: Tensor | None = None  # (n, M · K) of the fit

    def describe_task(self) -> dict[str, str]:
        """Facts about the dataset, and the members."""
        names = ", ".join(self.members.classifiers)
        return {**super().describe_task(), "members": names, "fitted on": f"{len(self.index):,} unseen images"}

    def inputs(self) -> Tensor:
        """What the members say about the images for the fit: logarithms of probabilities (n, M · K)."""
        if self._inputs is None:
            self._inputs = _inputs([c.unseen_scores(self.index) for c in self.members.classifiers.values()])
        return self._inputs

    def load_state_dict(self, saved: State) -> None:
        """Restore the result of `state_dict`."""
        self.optimization = _optimization(self.combination, saved["penalty"])
        super().load_state_dict(saved)
        self._inputs = None

    def step(self) -> Metrics:
        """One iteration of L-BFGS on the mean loss over the images for the fit; before the first, the penalty."""
        x = self.inputs()
        if not self.time and self.config.weight_decay is None:
            self.penalty = best_penalty(x, self.labels, splits.hashes(self.fitted.images), len(self.classes))
            self.optimization = _optimization(self.combination, self.penalty)
        loss, right = self._fit_metrics(x)
        batch = {"inputs": x, "labels": self.labels}
        metrics = self.optimization.step(lambda: F.cross_entropy(self.combination(x), self.labels), self.time, batch)
        self.time += len(x)
        return {"loss": loss, "accuracy": right, **metrics}

    def _fit_metrics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            scores = self.combination(x)
            return F.cross_entropy(scores, self.labels), (scores.argmax(1) == self.labels).double().mean()

    @property
    def finished(self) -> bool:
        """Whether the loss is at its minimum."""
        return self.optimization.converged

    def evaluate(self) -> Metrics:
        """Accuracy and loss on the images of the fit."""
        loss, right = self._fit_metrics(self.inputs())
        return {"eval_train_accuracy": right, "eval_train_loss": loss}

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Scores (1, N, K) of images (N, C, H, W), bytes or in [0, 1]."""
        return self._combine(self.member_scores(images))

    def member_scores(self, images: Tensor) -> list[Tensor]:
        """Logarithms of the probabilities (N, K) of each member."""
        members = self.members.classifiers.values()
        return [member.probabilities(member.logits(images)).log() for member in members]

    def _combine(self, scores: list[Tensor]) -> Tensor:
        with torch.no_grad():
            combined: Tensor = self.combination(_inputs(scores))
        return combined.float().unsqueeze(0)

    def report(self, count: int, seed: int, progress: Progress = lambda done: None) -> Report:
        """Final scores on test images, beside those of each member and of the mean of their probabilities."""
        images = self.test_images(count, seed)
        assert images.labels is not None
        scores = self.member_scores(images.images)
        found = self.report_of(images, self._combine(scores))
        progress(len(images))
        mean = torch.stack(scores).logsumexp(0) - math.log(len(scores))
        rows = {**dict(zip(self.members.classifiers, scores, strict=True)), "mean of probabilities": mean}
        each = {name: _accuracy(log_p, images.labels) for name, log_p in rows.items()}
        cells = [
            [name, f"{row['accuracy']:.2%}", f"{row['ci95'][0]:.2%} to {row['ci95'][1]:.2%}", f"{row['loss']:.4f}"]
            for name, row in each.items()
        ]
        lines = table(["member", "accuracy", "95 % interval", "loss"], cells)
        values = {**found.values, "members": each, "fitted_on": len(self.index), "weight_decay": self.penalty}
        fit = f"fit     on {len(self.index):,} unseen images, weight decay {self.penalty:g}"
        return Report(values, [found.lines[0], *lines, fit, *found.lines[1:]], found.details, found.grids)

    def parameter_count(self) -> int:
        """Number of trainable parameters of the combination and of its members."""
        own = sum(weight.numel() for weight in self.combination.parameters())
        return own + sum(member.parameter_count() for member in self.members.classifiers.values())


def check(members: dict[str, ImageClassifier]) -> None:
    """Raise UserError where classifiers, by the names of their runs, cannot be stacked."""
    if len(members) < 2:
        raise UserError("a stack combines at least 2 runs: name another one")
    (name, first), *others = members.items()
    for other, member in others:
        if member.task != first.task or member.digest != first.digest:
            raise UserError(
                f"{other} was trained on {member.task} and {name} on {first.task}: a stack takes runs of the same data"
            )
        if member.classes != first.classes:
            raise UserError(f"{other} has other classes than {name}: a stack takes runs of the same classes")
        if member.shape != first.shape:
            raise UserError(f"{other} takes images of {_side(member)} pixels and {name} of {_side(first)}: see --size")
    held_out = {name: member for name, member in members.items() if member.held_out.any()}
    for other, member in held_out.items():
        name, first = next(iter(held_out.items()))
        if not torch.equal(member.held_out, first.held_out):
            raise UserError(
                f"{other} keeps other images for validation than {name}"
                f" (--validation {member.config.validation:g} and {first.config.validation:g}):"
                " what one was trained on fits the other's predictions no better than its own"
            )
    for name, member in members.items():
        if not member.unseen().any():
            raise UserError(
                f"{name} was trained on all training images, and predictions for these fit nothing:"
                " train it with --validation 0.1 or --folds 5"
            )


def best_penalty(x: Tensor, labels: Tensor, hashes: Tensor, classes: int) -> float:
    """The strongest penalty whose loss of cross-validation is within one standard error of the lowest.

    For inputs (n, M · K) and labels (n,). Where a class has fewer images than there are folds, the strongest of all:
    nearly the mean of the members. Rule of one standard error: Breiman et al. 1984.
    """
    try:
        folds = splits.folds(labels, hashes, FOLDS)
    except UserError:
        return PENALTIES[-1]
    found = {
        penalty: torch.cat([_left_out_losses(x, labels, folds == k, penalty, classes) for k in range(FOLDS)])
        for penalty in PENALTIES
    }
    best = min(found.values(), key=lambda each: float(each.mean()))
    limit = best.mean() + best.std() / math.sqrt(len(best))
    return max(penalty for penalty, each in found.items() if each.mean() <= limit)


def _left_out_losses(x: Tensor, labels: Tensor, left_out: Tensor, penalty: float, classes: int) -> Tensor:
    """The losses of the images `left_out` (n,) by a combination fitted on the others."""
    combination = Combination(x.shape[1] // classes, classes)
    optimization = _optimization(combination, penalty)
    own, target = x[~left_out], labels[~left_out]
    for iteration in range(ITERATIONS):
        if not optimization.converged:
            optimization.step(lambda: F.cross_entropy(combination(own), target), iteration)
    with torch.no_grad():
        return F.cross_entropy(combination(x[left_out]), labels[left_out], reduction="none")


def _optimization(combination: Combination, penalty: float) -> Optimization:
    return Optimization(OptimizerSettings(optimizer="lbfgs", weight_decay=penalty), combination)


def _build(task: str, member: Member, setup: Setup) -> ImageClassifier:
    """The untrained classifier of a member."""
    module, _, name = member.lives.partition(":")
    cls: Any = getattr(import_module(f"rlgen.supervised.{module}"), name)
    own = Setup(seed=member.seed, device=setup.device, threads=setup.threads)
    classifier: ImageClassifier = cls(task, resolve(cls.Config, member.config), own)
    return classifier


def _inputs(scores: list[Tensor]) -> Tensor:
    """Logarithms of probabilities (N, K) of each member, side by side: (N, M · K) in float64."""
    return torch.cat(scores, 1).double().clamp(min=LEAST)


def _accuracy(log_p: Tensor, labels: Tensor) -> dict[str, Any]:
    right = float((log_p.argmax(1) == labels).double().mean())
    low, high = measures.wilson(right, len(labels))
    loss = float(F.nll_loss(log_p.double().clamp(min=LEAST), labels))
    return {"accuracy": right, "ci95": [float(low), float(high)], "loss": loss}


def _side(member: ImageClassifier) -> str:
    return "x".join(map(str, member.shape[1:]))
