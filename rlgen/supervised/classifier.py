"""A network that classifies images, trained by gradient descent on minibatches.

Back-propagation for images: LeCun et al. 1998, doi:10.1109/5.726791. Averaged weights: Polyak & Juditsky 1992,
doi:10.1137/0330046.
"""

from copy import copy
from functools import partial

import torch
from torch import Tensor, nn

from rlgen import networks
from rlgen.core import device
from rlgen.core.algorithm import Metrics, count
from rlgen.core.ema import average_of, decay_at, update_ema
from rlgen.core.images import Grid, from_bytes
from rlgen.core.layers import draw_from
from rlgen.core.optim import Optimization
from rlgen.core.seeds import Seeds, initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.data.augmentation import Augmentation, parse
from rlgen.data.order import Order
from rlgen.networks.base import ConvNet
from rlgen.supervised import galleries, losses, settings
from rlgen.supervised.base import ImageClassifier

CHUNK_SIZE = 500  # images classified at once, to bound the memory
PREPARING_IMAGES = 5_000  # from which a network computes constant weights
FULL_CHUNK = 2_000  # images of a full-batch gradient computed at once
SMALLEST = 2  # images in a minibatch: batch normalisation needs a variance


class Classifier(ImageClassifier):
    """A network of layers, and `ema`, the moving average of its weights, which is evaluated and predicts."""

    Config = settings.Classifier
    config: settings.Classifier
    state = ("order", "augmenting", "dropping", "network", "ema", "optimization", "steps", "time")

    def __init__(self, task: str, config: settings.Classifier, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and device.half(self.device))
        self.loss = losses.loss(config.loss)
        self.training_loss = losses.loss(config.loss, config.label_smoothing)
        self.images = self.train_set.images.permute(0, 2, 3, 1).contiguous().to(self.device)  # (N, H, W, C)
        assert self.train_set.labels is not None
        self.labels = self.train_set.labels.to(self.device)  # (N,)
        self.order = Order(len(self.images), config.batch, setup.seed, self.device, config.seeds)
        self.augmentation = Augmentation(parse(config.augment))
        self.augmenting = torch_stream(setup.seed, "augmentation")
        self.dropping = torch_stream(setup.seed, "dropout", self.device)
        with initial_weights(setup.seed):
            self.network = Seeds(self._build, config.seeds).to(self.device)
        self.ema = average_of(self.network)
        draw_from(self.dropping, self.network)
        everything = torch.arange(len(self.images), device=self.device).expand(config.seeds, -1)
        self.everything = torch.split(everything, FULL_CHUNK, 1)
        self.optimization = Optimization(config, [self.network], seeds=config.seeds)
        self.steps = 0  # gradient steps

    def _build(self) -> nn.Module:
        network = networks.build(self.config.network, self.shape, len(self.classes), self.config)
        network.prepare(self.normalize(from_bytes(self.train_set.images[:PREPARING_IMAGES])))
        return network

    def step(self) -> Metrics:
        """One gradient step of every seed on a minibatch of its own, or on all images where the rule takes all."""
        parts = self.everything if self.optimization.full_batch else (self.order.next_index(SMALLEST),)
        total = sum(part.shape[1] for part in parts)
        sums: dict[int, Tensor] = {}  # (2, S) of each part: losses and right answers

        def loss(number: int, index: Tensor) -> Tensor:
            losses, right = self._losses(*self.minibatch(index))  # (S, B)
            sums[number] = torch.stack([losses.detach().sum(1), right.sum(1)])
            return losses.sum() / total  # mean over B, sum over S

        metrics = self.optimization.step([partial(loss, *part) for part in enumerate(parts)], self.time)
        self.time += total
        if self.optimization.updated:
            self.steps += 1
            update_ema(self.ema, self.network, decay_at(self.steps, self.config.ema))
        means = torch.stack(list(sums.values())).sum(0) / total
        return {"loss": means[0], "accuracy": means[1], **metrics}

    def _losses(self, x: Tensor, y: Tensor, mixed: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """The training loss (S, B) of images (S, B, C, H, W), and where the prediction is right."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            scores = self.network(x).float()  # (S, B, K)
        losses = self._mixed(scores, y, mixed)
        network = self.network.network
        assert isinstance(network, ConvNet)
        for auxiliary in network.auxiliary:
            more = self._mixed(auxiliary.float().view_as(scores), y, mixed)
            losses = losses + network.auxiliary_weight * more
        return losses, (scores.detach().argmax(-1) == y).float()

    def _mixed(self, scores: Tensor, y: Tensor, mixed: tuple[Tensor, Tensor] | None) -> Tensor:
        """The loss (S, B) of scores (S, B, K) for labels (S, B), or for the two labels of mixed images."""
        losses = self.training_loss(scores, y)
        if mixed is None:
            return losses
        other, share = mixed
        return (1 - share) * losses + share * self.training_loss(scores, other)

    def minibatch(self, index: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        """Normalised images (S, B, C, H, W) at indices (S, B), each augmented; labels; with mixup others and shares."""
        y = self.labels[index]
        x = from_bytes(self.images[index].movedim(-1, -3))
        x, mixed = self.augmentation(x, y, self.augmenting)
        return self.normalize(x), y, mixed

    def draw(self) -> dict[str, Grid]:
        """The first minibatch before the training, and the filters of the first layer."""
        filters = galleries.filters(self.ema, self.shape, self.classes)
        first = {} if self.time else {"first_batch.png": self._first_batch()}
        return first if filters is None else {**first, "filters.png": filters}

    def _first_batch(self) -> Grid:
        """The next minibatch of the first seed, back from the normalisation; the training state stays as it is."""
        order, stream = copy(self.order), self.augmenting.get_state()
        order.batch = min(order.batch, order.count)
        x, y, mixed = self.minibatch(order.next_index(SMALLEST))
        self.augmenting.set_state(stream)
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

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Scores (S, N, K) of images (N, C, H, W), bytes or in [0, 1], by the averaged weights; on the CPU."""
        return torch.cat([self._logits(chunk) for chunk in torch.split(images, CHUNK_SIZE)], 1)

    def _logits(self, images: Tensor) -> Tensor:
        x = from_bytes(images.to(self.device)) if images.dtype == torch.uint8 else images.float().to(self.device)
        x = self.normalize(x)
        scores: Tensor = self.ema(x.expand(self.config.seeds, *x.shape))
        return scores.float().cpu()

    def networks(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The network of the first seed, and an image."""
        return {self.config.network: (self.network.alone(), (torch.zeros(1, *self.shape),))}

    def scored(self, score: float) -> None:
        """Take in the score of an evaluation: the plateau schedule lowers the learning rate by it."""
        self.optimization.plateau(score)

    @property
    def finished(self) -> bool:
        """Whether lbfgs or newton is at a minimum of the loss, where further steps change nothing."""
        return self.optimization.converged

    def parameter_count(self) -> int:
        """Number of trainable parameters, of all seeds."""
        return count(self.network)
