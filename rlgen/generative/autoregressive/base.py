"""Images one pixel after the other: p(x) = Π p(xᵢ | x₁ … xᵢ₋₁), learned by maximum likelihood, drawn row by row."""

import math
from typing import Any

import torch
from torch import Tensor

from rlgen import data
from rlgen.core.algorithm import Metrics
from rlgen.core.errors import UserError
from rlgen.core.images import Grid
from rlgen.core.seeds import initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.autoregressive.causal import Network, incremental_mode
from rlgen.generative.base import evaluating
from rlgen.generative.ema import EMAModel
from rlgen.generative.grids import ROWS, sample_grid
from rlgen.generative.likelihoods import Likelihood, bits_per_dim, seen

COMPLETION_ROWS = 4  # rows of the sheet of completions: the images, what is given of them, and as often completed
CHUNK_SIZE = 256  # images scored or drawn at once, to bound the memory


class Autoregressive(EMAModel):
    """What PixelCNN and PixelRNN share: a `network` that predicts every pixel of an image from those before it."""

    betas, lr_warmup_steps = (0.9, 0.99), 200
    network: Network
    ema: Network

    def __init__(self, task: str, config: Any, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.prepare_data(setup)
        with initial_weights(setup.seed):
            network = self.build(self.predicted, self.num_classes)
        self.set_network(network, setup)

    def real(self, split: data.Split) -> data.Dataset:
        """The images as the likelihood has them, which samples are too: black and white ones are drawn once."""
        return seen(self.load(split), self.protocol, split)

    def build(self, outputs: int, classes: int) -> Network:
        """The network: of each colour of each pixel it predicts `outputs` numbers."""
        raise NotImplementedError

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """The mean of -log p(x), nats of an image."""
        x = self.binarise_batch(x)
        with self.autocast():
            out = self.network(x, y)
        return nats(self.likelihood, out, x).mean(), {}

    def measure(self) -> Metrics:
        """-log p(x) of all test images by the averaged weights."""
        parts, together = [], self.chunk_size(CHUNK_SIZE)
        with evaluating(self.ema):
            for i in range(0, len(self.test_set), together):
                x, y = self.test_batch(slice(i, i + together))
                x, y = x.to(self.device), None if y is None else y.to(self.device)
                parts.append(nats(self.likelihood, self.ema(x, y), x).cpu().double())
        mean = torch.cat(parts).mean()
        return {"eval_nats": mean, "eval_bits": bits_per_dim(mean.item(), math.prod(self.shape))}

    def final(self) -> Metrics:
        """The same, and what a model that knows nothing would have."""
        return {**self.measure(), **self.uniform_baseline()}

    def sample(self, count: int, *, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """`count` new images (N, C, H, W) in [0, 1], always the same for the same weights and `seed`.

        A conditional model takes the `labels` (N,) to make, or goes through the classes in turn.
        """
        x = torch.zeros(count, *self.shape)
        return self.complete(x, torch.zeros(self.shape[1:], dtype=torch.bool), seed=seed, labels=labels)

    def complete(self, x: Tensor, known: Tensor, *, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """Images x (N, C, H, W) in [0, 1] with the pixels drawn anew that are not `known`, (H, W) or (N, H, W).

        What is known stays as it is. A pixel is drawn from what comes before it, known or drawn.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise UserError(f"images of shape {tuple(x.shape[1:])} cannot be completed: it learned {self.shape}")
        if tuple(known.shape) not in (tuple(x.shape[2:]), (len(x), *x.shape[2:])):
            raise UserError(
                f"what is known of {tuple(x.shape)} has the shape {tuple(known.shape)}: give one flag a pixel"
            )
        labels = self.labels_for(len(x), labels)
        noise = torch_stream(seed, "samples")
        known = known.expand(len(x), *x.shape[2:])
        parts = []
        with evaluating(self.ema):
            for part in torch.split(torch.arange(len(x)), CHUNK_SIZE):
                y = None if labels is None else labels[part].to(self.device)
                parts.append(draw(self.ema, self.likelihood, x[part].to(self.device), known[part], y, noise).cpu())
        return torch.cat(parts)

    def grids(self, seed: int) -> dict[str, Grid]:
        """Samples, and test images completed from their upper half."""
        columns = self.columns
        labels = torch.arange(columns).repeat(ROWS) if self.conditional else None
        samples = self.sample(ROWS * columns, seed=seed, labels=labels)
        x, y = self.test_batch(torch.arange(columns) % len(self.test_set))
        top = torch.zeros(self.shape[1:], dtype=torch.bool)
        top[: self.shape[1] // 2] = True
        labels = None if y is None else y.repeat(COMPLETION_ROWS)
        completed = self.complete(x.repeat(COMPLETION_ROWS, 1, 1, 1), top, seed=seed, labels=labels)
        return {
            "samples": sample_grid(samples, self.shown_classes),
            "completions": Grid(
                torch.cat([x, x * top + 0.5 * ~top, completed]),
                columns,
                "completions",
                ("image", "given", *["completion"] * COMPLETION_ROWS),
            ),
        }


def nats(likelihood: Likelihood, out: Tensor, x: Tensor) -> Tensor:
    """-log p(x) of each image: what a network says (B, C · K, H, W), (B, C, H, W) -> (B,)."""
    out = out.reshape(len(x), x.shape[1], -1, *x.shape[2:]).movedim(2, -1)
    return -likelihood.log_prob(out, x).flatten(1).sum(1)


def draw(
    network: Network, likelihood: Likelihood, x: Tensor, known: Tensor, y: Tensor | None, noise: torch.Generator
) -> Tensor:
    """Images x (B, C, H, W) with every pixel that is not `known`, (B, H, W), drawn in its turn from the `noise`.

    A pixel costs one column of the network, which remembers what it computed for those before it.
    """
    batch, channels, height, width = x.shape
    x, known = x.clone(), known.to(x.device)
    with incremental_mode(network, height, width) as cache:
        for cache.row in range(height):
            cache.column = 0
            network.begin_row(x, y)
            for cache.column in range(width):
                pixel, given = x[:, :, cache.row, cache.column], known[:, cache.row, cache.column]  # views
                for c in range(channels):  # each colour sees those before it
                    out = network(pixel, y).view(batch, channels, -1)[:, c]
                    u = torch.rand(batch, generator=noise, dtype=x.dtype).to(x.device)
                    pixel[:, c] = torch.where(given, pixel[:, c], likelihood.sample(out, u))
                network.remember(pixel)
    return x
