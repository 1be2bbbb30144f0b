"""A network that classifies images, trained by gradient descent on minibatches.

Back-propagation for images: LeCun et al. 1998, doi:10.1109/5.726791. Averaged weights: Polyak & Juditsky 1992,
doi:10.1137/0330046.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rlgen import networks
from rlgen.core import device, processes
from rlgen.core.algorithm import Metrics, Progress, Report, count
from rlgen.core.ema import average_of, decay_at, update_ema
from rlgen.core.errors import UserError
from rlgen.core.images import Grid, from_bytes, rows
from rlgen.core.layers import draw_from
from rlgen.core.members import Members
from rlgen.core.optim import Optimization
from rlgen.core.seeds import derive, initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.data import splits
from rlgen.data.augmentation import Augmentation, parse
from rlgen.data.order import Order
from rlgen.networks.base import ConvNet
from rlgen.supervised import ensembles, galleries, losses, settings, transfer
from rlgen.supervised.base import ImageClassifier
from rlgen.supervised.ensembles import mean_probability

CHUNK_SIZE = 500  # images classified at once, to bound the memory
PREPARING_IMAGES = 5_000  # from which a network computes constant weights
FULL_CHUNK = 2_000  # images of a full-batch gradient computed at once
SMALLEST = 2  # images in a minibatch: batch normalisation needs a variance


class Classifier(ImageClassifier):
    """A network of layers, and `ema`, the moving average of its weights, which is evaluated and predicts."""

    Config = settings.Classifier
    config: settings.Classifier
    state = (
        "order", "augmenting", "dropping", "network", "ema", "optimization", "steps", "ensemble", "time", "mean", "std",
    )  # fmt: skip
    learned = ("ema", "ensemble", "time", "mean", "std")

    def __init__(self, task: str, config: settings.Classifier, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and device.half(self.device))
        self.loss = losses.loss("softmax" if config.ensemble else config.loss)  # an ensemble has probabilities
        self.training_loss = losses.loss(config.loss, config.label_smoothing)
        self.images = self.train_set.images.permute(0, 2, 3, 1).contiguous().to(self.device)  # (N, H, W, C)
        assert self.train_set.labels is not None
        self.labels = self.train_set.labels.to(self.device)  # (N,)
        self.augmentation = Augmentation(parse(config.augment))
        self.augmenting = torch_stream(setup.seed, "augmentation")
        self.dropping = torch_stream(setup.seed, "dropout", self.device)
        with initial_weights(setup.seed):
            self.network = Members(self._build, config.side_by_side).to(self.device)
        self.frozen = transfer.freeze_blocks(self.network.network, config.freeze)
        self.ema = average_of(self.network)
        draw_from(self.dropping, self.network)
        self.optimization = self._optimization()
        self.steps = 0  # gradient steps
        self.ensemble = self._ensemble()
        lists = self.ensemble.lists  # (S, n) indices of the training images of each network, or None
        images = len(self.images) if lists is None else lists.shape[1]
        self.order = Order(images, config.batch, setup.seed, self.device, config.side_by_side)
        everything = torch.arange(images, device=self.device).expand(config.side_by_side, -1)
        self.everything = torch.split(everything, FULL_CHUNK, 1)
        self.copied: dict[str, Any] = {}  # what `initialise` copied

    def _build(self) -> nn.Module:
        network = networks.build(self.config.network, self.shape, len(self.classes), self.config)
        if self.config.batch == 1 and any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules()):
            raise UserError("--batch 1: batch normalisation needs several images: --batch 2 or --norm none")
        network.prepare(self.normalize(from_bytes(self.train_set.images[:PREPARING_IMAGES])))
        return network

    def _optimization(self) -> Optimization:
        config, budget = self.config, None
        if config.successive:
            budget = max(1, config.lr_steps // config.members)
        if config.ensemble == "snapshot":
            config = replace(config, schedule="cosine", lr_end=0.0)
        return Optimization(config, [self.network], budget, config.side_by_side)

    def _ensemble(self) -> ensembles.Networks:
        config, labels = self.config, self.train_set.labels
        assert labels is not None
        training = ensembles.Training(
            self.seed,
            labels,
            len(self.classes),
            self.device,
            self.ema,
            config.lr_steps,
            self._restart,
            self._remembered,
        )
        if config.folds:
            folds = splits.folds(labels, splits.hashes(self.train_set.images), config.folds, self.classes)
            self.score, self.axis = "eval_validation_accuracy", "folds"
            return ensembles.Folds(config.folds, training, folds)
        return (ensembles.KINDS[config.ensemble] if config.ensemble else ensembles.Networks)(config.members, training)

    def _restart(self, member: int) -> None:
        """New weights, a new average of them and a new optimiser."""
        with initial_weights(derive(self.seed, f"member {member}")):
            fresh = Members(self._build, 1)
        for network in (self.network, self.ema):
            network.load_state_dict(fresh.state_dict())
        lowered = self.optimization.rate_factor
        self.optimization, self.steps = self._optimization(), 0
        self.optimization.rate_factor = lowered

    def _remembered(self) -> Tensor:
        """Predictions (N,) for the training images by the averaged weights."""
        return self._scores(self.ema, self.train_set.images)[0].argmax(1)

    def initialise(self, runs: Path) -> dict[str, Any]:
        """Start from the layers of the run `--init-from`, with its statistics of images; facts for run.json."""
        self.copied = transfer.initialise(self.network, self.config, runs, self.mean, self.std)
        self.ema.load_state_dict(self.network.state_dict())
        return {"transfer": self.copied} if self.copied else {}

    def describe_task(self) -> dict[str, str]:
        """Facts about the dataset, the origin of the weights and the frozen layers."""
        return {**super().describe_task(), **transfer.facts(self.config.init_from, self.copied, self.frozen)}

    @processes.shared
    def step(self) -> Metrics:
        """One gradient step of every seed on a minibatch of its own, or on all images where the rule takes all."""
        parts = self.everything if self.optimization.full_batch else (self.order.next_index(SMALLEST),)
        total = sum(part.shape[1] for part in parts)
        sums: dict[int, Tensor] = {}  # (2, S) of each part: losses and right answers
        batch: dict[str, Tensor] = {}  # of the last part

        def loss(number: int, index: Tensor) -> Tensor:
            x, y, mixed = self.minibatch(index)
            batch.update(images=x, labels=y)
            losses, right = self._losses(x, y, mixed)  # (S, B)
            sums[number] = torch.stack([losses.detach().sum(1), right.sum(1)])
            return losses.sum() * processes.shares() / total  # mean over B, sum over S

        metrics = self.optimization.step(
            [partial(loss, *part) for part in enumerate(parts)], self.time - self.ensemble.start, batch
        )
        self.time += total
        if self.optimization.updated:
            self.steps += 1
            update_ema(self.ema, self.network, decay_at(self.steps, self.config.ema))
        self.ensemble.after_step(self.time)
        means = torch.stack(list(sums.values())).sum(0) * processes.shares() / total
        return {"loss": means[0], "accuracy": means[1], **metrics}

    def _losses(self, x: Tensor, y: Tensor, mixed: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """The training loss (S, B) of images (S, B, C, H, W), and where the prediction is right."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            scores = self.network(x).float()  # (S, B, K)
        found = losses.mixed(self.training_loss, scores, y, mixed)
        network = self.network.network
        assert isinstance(network, ConvNet)
        for auxiliary in network.auxiliary:
            more = losses.mixed(self.training_loss, auxiliary.float().view_as(scores), y, mixed)
            found = found + network.auxiliary_weight * more
        return found, (scores.detach().argmax(-1) == y).float()

    def minibatch(
        self, index: Tensor, stream: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        """Normalised images (S, B, C, H, W), each augmented by draws of `stream`; labels; with mixup others and shares.

        The index (S, B) is into all training images, or into the list of each network.
        """
        index = index if self.ensemble.lists is None else self.ensemble.lists.gather(1, index)
        y = self.labels[index]
        x = from_bytes(rows(self.images, index).movedim(-1, -3))
        x, mixed = self.augmentation(x, y, self.augmenting if stream is None else stream)
        x, y, mixed = processes.share((x, y, mixed), 1)
        return self.normalize(x), y, mixed

    def draw(self) -> dict[str, Grid]:
        """The first minibatch before the training, and the filters of the first layer."""
        filters = galleries.filters(self.ema, self.shape, self.classes)
        first = {} if self.time else {"first_batch.png": self._first_batch()}
        return first if filters is None else {**first, "filters.png": filters}

    def _first_batch(self) -> Grid:
        """The next minibatch of the first seed, back from the normalisation; the training state stays as it is."""
        order, stream = copy(self.order), torch.Generator().set_state(self.augmenting.get_state())
        order.batch = min(order.batch, order.count)
        x, y, mixed = self.minibatch(order.next_index(SMALLEST), stream)
        names = [self.classes[label] for label in y[0].tolist()]
        if mixed is not None:
            pairs = zip(names, mixed[0][0].tolist(), mixed[1][0].tolist(), strict=True)
            names = [f"{name} {1 - share:.0%}\n{self.classes[other]} {share:.0%}" for name, other, share in pairs]
        mean, std = (values.to(x).view(-1, 1, 1) for values in (self.mean, self.std))
        return galleries.minibatch(x[0] * std + mean, names)

    def normalize(self, x: Tensor) -> Tensor:
        """Images (..., C, H, W) in [0, 1] with mean 0 and deviation 1 per channel over the training images."""
        mean, std = (values.to(x).view(-1, 1, 1) for values in (self.mean, self.std))
        return (x - mean) / std

    def logits(self, images: Tensor) -> Tensor:
        """Scores (S, N, K) of images (N, C, H, W), bytes or in [0, 1], by the averaged weights; on the CPU.

        Those of an ensemble are logarithms of its probabilities, (1, N, K).
        """
        return self.ensemble.combine(self.member_logits(images))

    def member_logits(self, images: Tensor) -> Tensor:
        """Scores (M, N, K) of every network of an ensemble, of several seeds or of cross-validation."""
        return torch.cat([self._scores(network, images) for network in self.ensemble.networks()])

    @torch.no_grad()
    def _scores(self, network: Callable[[Tensor], Tensor], images: Tensor, count: int | None = None) -> Tensor:
        """Scores (count, N, K) of `network`, which takes (count, B, C, H, W), on the CPU."""
        networks = self.config.side_by_side if count is None else count
        scores = []
        for chunk in torch.split(images, CHUNK_SIZE):
            x = chunk.to(self.device)
            x = self.normalize(from_bytes(x) if x.dtype == torch.uint8 else x.float())
            scores.append(network(x.expand(networks, *x.shape)).float().cpu())
        return torch.cat(scores, 1)

    def evaluate(self) -> Metrics:
        """Accuracy and loss of each seed on training images and on validation images; of cross-validation by folds."""
        folds = self.ensemble.folds
        if folds is None:
            return super().evaluate()
        scores, labels = self.logits(self.shown.images), self.shown.labels
        assert labels is not None
        labels = labels.expand(scores.shape[:2])
        right, losses = (scores.argmax(-1) == labels).double(), self.loss(scores, labels).double()
        unseen = (folds[self.shown_index] == torch.arange(len(scores)).unsqueeze(1)).double()  # (S, N)
        metrics = {}
        for name, share in (("train", 1 - unseen), ("validation", unseen)):
            metrics[f"eval_{name}_accuracy"] = (right * share).sum(1) / share.sum(1)
            metrics[f"eval_{name}_loss"] = (losses * share).sum(1) / share.sum(1)
        return metrics

    def report(self, count: int, seed: int, progress: Progress = lambda done: None) -> Report:
        """Final scores on test images; beside those of an ensemble its members', of folds the out-of-fold ones."""
        images = self.test_images(count, seed)
        members = self.member_logits(images.images)
        found = self.report_of(images, self.ensemble.combine(members))
        progress(len(images))
        assert images.labels is not None
        if self.ensemble.folds is not None:
            scores = self.unseen_scores(self.train_index)
            return ensembles.with_folds(found, scores, self.train_set, self.ensemble.folds)
        return ensembles.with_members(found, members, images.labels, self.ensemble) if self.config.ensemble else found

    def unseen(self) -> Tensor:
        """(N,) bool, of all training images: those without a part in the training of at least one network."""
        if self.ensemble.folds is None:
            return super().unseen()
        return torch.zeros_like(self.held_out).index_fill(0, self.train_index, True)

    def unseen_scores(self, index: Tensor) -> Tensor:
        """Logarithms of probabilities (n, K) of unseen training images (n,): of a fold by the network without it."""
        folds = self.ensemble.folds
        if folds is None:
            return super().unseen_scores(index)
        place = torch.empty_like(self.held_out, dtype=torch.int64)  # in the training set
        place[self.train_index] = torch.arange(len(self.train_index))
        place = place[index]
        found = torch.empty(len(index), len(self.classes))
        for k in range(self.config.folds):
            rows = (folds[place] == k).nonzero().squeeze(1)
            found[rows] = self._scores(self.ema.alone(k), self.train_set.images[place[rows]], 1)[0].log_softmax(1)
        return found

    def probabilities(self, scores: Tensor) -> Tensor:
        """Probabilities (N, K) by scores (S, N, K): of the first seed, or the mean of the networks of folds."""
        return super().probabilities(scores) if self.ensemble.folds is None else mean_probability(scores).exp()

    def networks(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The network of the first seed, and an image."""
        return {self.config.network: (self.network.alone(), (torch.zeros(1, *self.shape),))}

    def scored(self, score: float) -> None:
        """Take in the score of an evaluation: the plateau schedule lowers the learning rate by it."""
        self.optimization.plateau(score)

    @property
    def finished(self) -> bool:
        """Whether lbfgs or newton is at a minimum of the loss, where further steps change nothing."""
        return self.optimization.converged and not self.config.successive

    def parameter_count(self) -> int:
        """Number of trainable parameters, of all networks."""
        return count(self.network) * (self.config.members if self.config.successive else 1)
