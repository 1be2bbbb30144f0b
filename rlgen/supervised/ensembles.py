"""Several networks as one classifier: averaging, bagging, boosting, snapshots; and the networks of cross-validation.

Bagging: Breiman 1996, doi:10.1007/BF00058655. Boosting of K classes (SAMME): Zhu, Zou, Rosset & Hastie 2009, Statistics
and Its Interface 2. Snapshots: Huang et al. 2017, arXiv:1704.00109. Cross-validation: Stone 1974, JRSS B 36.
Shapes: M members, S networks trained side by side, N images, K classes.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rlgen.core.algorithm import Report
from rlgen.core.seeds import torch_stream
from rlgen.core.state import Stateful
from rlgen.data import Dataset
from rlgen.supervised import measures


@dataclass(frozen=True)
class Training:
    """What an ensemble needs of the classifier."""

    seed: int
    labels: Tensor  # (N,) of the training images, on the CPU
    classes: int
    device: torch.device
    ema: nn.Module  # the weights that are evaluated
    duration: int  # images of the whole training
    restart: Callable[[int], None]  # new weights and a new optimiser for the member of this number
    predict: Callable[[], Tensor]  # predictions (N,) for the training images by `ema`


class Networks(Stateful):
    """S networks that stay apart: seeds. The base of the ensembles."""

    state: ClassVar[tuple[str, ...]] = ()
    lists: Tensor | None = None  # (S, n) indices of the training images of each network; None: all
    folds: Tensor | None = None  # (N,) of the training images, in cross-validation
    start = 0  # time at which the training of the current member began

    def __init__(self, count: int, training: Training) -> None:
        self.count = count  # of members
        self.training = training

    def after_step(self, time: int) -> None:
        """Called after every gradient step, at `time` in images."""

    def networks(self) -> list[Any]:
        """`Seeds` whose copies are the members that predict."""
        return [self.training.ema]

    def combine(self, scores: Tensor) -> Tensor:
        """Scores (M, N, K) of the members -> scores of the classifier: of each member, or (1, N, K) of all."""
        return scores

    def facts(self) -> dict[str, Any]:
        """Values for the report."""
        return {}


class Average(Networks):
    """The mean of the members' probabilities: -ln of it is at most the mean of the members' -ln, always."""

    def combine(self, scores: Tensor) -> Tensor:
        """ln 1/M Σ_m softmax(s_m), (M, N, K) -> (1, N, K)."""
        return mean_probability(scores).unsqueeze(0)


class Bagging(Average):
    """Members with bootstrap samples of the training images, N drawn from N with replacement."""

    def __init__(self, count: int, training: Training) -> None:
        super().__init__(count, training)
        n, stream = len(training.labels), torch_stream(training.seed, "bootstrap")
        self.lists = torch.randint(n, (count, n), generator=stream).to(training.device)


class Folds(Networks):
    """K networks of cross-validation: network k is trained without fold k. The mean probability predicts."""

    def __init__(self, count: int, training: Training, folds: Tensor) -> None:
        super().__init__(count, training)
        own = [(folds != k).nonzero().squeeze(1) for k in range(count)]
        longest = max(map(len, own))
        # a shorter list repeats its first images, so that minibatches of all networks are of equal size
        lists = [torch.cat([each, each[: longest - len(each)]]) for each in own]
        self.lists, self.folds = torch.stack(lists).to(training.device), folds


class Successive(Average):
    """Members one after the other, each with an equal part of the training; the finished ones predict."""

    state: ClassVar[tuple[str, ...]] = ("finished", "done", "start")
    learned: ClassVar[tuple[str, ...]] = ("finished", "done")

    def __init__(self, count: int, training: Training) -> None:
        super().__init__(count, training)
        self.finished = nn.ModuleList([copy.deepcopy(training.ema) for _ in range(count)])
        self.done = 0  # members that are finished

    def after_step(self, time: int) -> None:
        """Finish the member whose part of the training is over."""
        if self.done == self.count or time < (self.done + 1) * self.training.duration // self.count:
            return
        self.finished[self.done].load_state_dict(self.training.ema.state_dict())
        self.done += 1
        self.finish(self.done)
        if self.done < self.count:
            self.start = time

    def finish(self, number: int) -> None:
        """Called with the number of the next member when a member is finished."""

    def networks(self) -> list[Any]:
        """The finished members; before the first is finished, the one in training."""
        return list(self.finished[: self.done]) or [self.training.ema]


class Snapshot(Successive):
    """One network, whose learning rate falls to 0 for each member; its weights then are the member."""


class Boosting(Successive):
    """SAMME: each member is trained on images drawn by their weights, which grow where members before it were wrong."""

    state = (*Successive.state, "weights", "votes", "lists")
    learned = (*Successive.learned, "votes")

    def __init__(self, count: int, training: Training) -> None:
        super().__init__(count, training)
        n = len(training.labels)
        self.weights = torch.full((n,), 1 / n, dtype=torch.float64)  # of the images
        self.votes = torch.zeros(count, dtype=torch.float64)  # α of the members
        self.lists = torch.arange(n, device=training.device).unsqueeze(0)

    def finish(self, number: int) -> None:
        """α and the weights of the images by the errors of the finished member; the next one starts anew."""
        wrong = self.training.predict() != self.training.labels
        self.votes[number - 1], weights = boost(self.weights, wrong, self.training.classes)
        self.weights.copy_(weights)
        if number < self.count:
            stream = torch_stream(self.training.seed, f"images of member {number}")
            assert self.lists is not None
            self.lists.copy_(torch.multinomial(self.weights, len(wrong), True, generator=stream).unsqueeze(0))
            self.training.restart(number)

    def combine(self, scores: Tensor) -> Tensor:
        """Σ_m α_m [m predicts k] / (K - 1), (M, N, K) -> (1, N, K): the logits of equation (8) of the paper."""
        if not self.done:
            return scores
        votes = nn.functional.one_hot(scores.argmax(2), scores.shape[2]) * self.votes[: self.done].view(-1, 1, 1)
        return (votes.sum(0, keepdim=True) / (scores.shape[2] - 1)).float()

    def facts(self) -> dict[str, Any]:
        """The weights α of the members' votes."""
        return {"votes": self.votes[: self.done].tolist()}


KINDS: dict[str, type[Networks]] = {
    "average": Average,
    "bagging": Bagging,
    "boosting": Boosting,
    "snapshot": Snapshot,
}


def mean_probability(scores: Tensor) -> Tensor:
    """ln 1/M Σ_m softmax(s_m): (M, N, K) -> (N, K)."""
    return scores.log_softmax(2).logsumexp(0) - math.log(len(scores))


def boost(weights: Tensor, wrong: Tensor, classes: int) -> tuple[float, Tensor]:
    """α = ln((1 - e) / e) + ln(K - 1) for the weighted error e = Σ_i w_i [wrong_i], and weights ∝ w_i exp(α [wrong_i]).

    With the new weights (N,), which sum to 1, the member's error is 1 - 1/K. A member without an error counts as one
    with half an image wrong. One no better than chance gets α = 0, and the weights are equal again.
    """
    n = len(weights)
    error = max(float(weights[wrong].sum()), 0.5 / n)
    vote = math.log((1 - error) / error) + math.log(classes - 1) if error < 1 else -math.inf
    if vote <= 0:
        return 0.0, torch.full_like(weights, 1 / n)
    grown = torch.where(wrong, weights * math.exp(vote), weights)
    return vote, grown / grown.sum()


def with_members(found: Report, scores: Tensor, labels: Tensor, ensemble: Networks) -> Report:
    """The report of an ensemble with the accuracy of each member, from their scores (M, N, K) and labels (N,)."""
    right = (scores.argmax(2) == labels).double().mean(1)
    loss = -scores.log_softmax(2).gather(2, labels.expand(scores.shape[:2]).unsqueeze(2)).double().mean().item()
    values = {"accuracy": right.tolist(), "mean_accuracy": right.mean().item(), "mean_loss": loss, **ensemble.facts()}
    each = "  ".join(f"{value:.2%}" for value in right.tolist())
    line = f"members accuracy of each: {each}; mean {values['mean_accuracy']:.2%}, loss {loss:.4f}"
    return Report(
        {**found.values, "members": values}, [found.lines[0], line, *found.lines[1:]], found.details, found.grids
    )


def with_folds(found: Report, scores: Tensor, images: Dataset, folds: Tensor) -> Report:
    """The report of cross-validation with the out-of-fold accuracy, from scores (N, K) of the training images."""
    assert images.labels is not None
    right = (scores.argmax(1) == images.labels).double()
    each = torch.stack([right[folds == k].mean() for k in range(int(folds.max()) + 1)])
    low, high = map(float, measures.wilson(right.mean().item(), len(right)))
    values = {"accuracy": right.mean().item(), "ci95": [low, high], "each": each.tolist(), "sd": each.std().item()}
    line = (
        f"folds   accuracy {each.mean():.2%} ± {values['sd']:.2%} over {len(each)} folds, each by the network trained"
        f" without it; on all {len(right):,} images {values['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%})"
    )
    return Report(
        {**found.values, "folds": values}, [found.lines[0], line, *found.lines[1:]], found.details, found.grids
    )
