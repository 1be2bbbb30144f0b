"""Images one pixel after the other: p(x) = Π p(xᵢ | x₁ … xᵢ₋₁), learned by maximum likelihood, drawn row by row."""

import copy
import math
from typing import Any

import torch
from torch import Tensor

from rlgen.core.algorithm import Metrics, count
from rlgen.core.device import half
from rlgen.core.errors import UserError
from rlgen.core.schedule import cosine
from rlgen.core.seeds import derive, initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.base import Generative, Minibatches, evaluating, follow, sheet
from rlgen.generative.causal import CausalConv, Network, drawing
from rlgen.generative.likelihoods import (
    Likelihood,
    binarise,
    binarised,
    bits_per_dim,
    check_binary,
    likelihood,
    protocol,
    uniform,
)

ROWS, COLUMNS = 8, 8  # of the sheet of samples
HALVES = 4  # rows of the sheet of completions: the images, what is given of them, and as often completed
TOGETHER = 256  # images scored or drawn at once, to bound the memory
WARMUP = 200  # gradient steps in which the step size grows to its full length
FLOOR = 0.01  # share of it that is left at the end


class Autoregressive(Generative):
    """What PixelCNN and PixelRNN share: a `network` that predicts every pixel of an image from those before it."""

    state = ("data", "noise", "network", "average", "optimizer", "time")

    def __init__(self, task: str, config: Any, setup: Setup) -> None:
        super().__init__(task, config, setup)
        if self.conditional and not self.classes:
            raise UserError(
                f"--conditional: {self.task} has no labels; put the images of each class into a folder of its own"
            )
        self.likelihood = likelihood(config.likelihood, config.components)
        self.protocol = protocol(self.likelihood, config.binarise)
        self.held_out = self.real("test")
        if self.protocol == "none":
            check_binary(self.held_out)
            self.protocol = "binary"
        elif self.likelihood.levels == 2:
            self.held_out = binarised(self.held_out)  # drawn once, so that numbers compare
        if self.protocol == "static":
            self.data = Minibatches(binarised(self.real("train")), config.batch, setup.seed, self.device)
        with initial_weights(setup.seed):
            network = self.build(self.likelihood.width, len(self.classes) if self.conditional else 0)
        self.network = network.to(self.device)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr, betas=(0.9, 0.99), fused=True)
        self.noise = torch_stream(setup.seed, "noise")  # on the CPU, so that a checkpoint fits every device
        self.columns = len(self.classes) if self.conditional else COLUMNS  # of the sheet of samples
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and half(self.device))

    def build(self, outputs: int, classes: int) -> Network:
        """The network: of each colour of each pixel it predicts `outputs` numbers."""
        raise NotImplementedError

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One gradient step on images (B, C, H, W) and their labels (B,)."""
        config, steps = self.config, self.time // self.config.batch
        lr = cosine(config.lr, FLOOR * config.lr, config.anneal, self.time) if config.anneal else config.lr
        for group in self.optimizer.param_groups:
            group["lr"] = lr * min(1.0, (steps + 1) / WARMUP)
        metrics = super().update(x, y if self.conditional else None)
        follow(self.average, self.network, min(config.ema, steps / (10 + steps)))  # young averages forget faster
        return metrics

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """The mean of -log p(x), nats of an image."""
        if self.protocol == "dynamic":
            x = binarise(x, self.noise)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            out = self.network(x, y)
        return self.nats(out, x).mean(), {}

    def nats(self, out: Tensor, x: Tensor) -> Tensor:
        """-log p(x) of each image: what the network says (B, C · K, H, W), (B, C, H, W) -> (B,)."""
        out = out.reshape(len(x), x.shape[1], -1, *x.shape[2:]).movedim(2, -1)
        return -self.likelihood.log_prob(out, x).flatten(1).sum(1)

    def evaluate(self) -> Metrics:
        """-log p(x) of all test images by the averaged weights; samples; completions of test images."""
        with evaluating(self.average):
            batches = (self._test(slice(i, i + TOGETHER)) for i in range(0, len(self.held_out), TOGETHER))
            nats = torch.cat([self.nats(self.average(x, y), x) for x, y in batches]).double().mean()
        return {"eval_nats": nats, "eval_bits": bits_per_dim(nats.item(), math.prod(self.shape)), **self._sheets()}

    def final(self) -> Metrics:
        """The same, and what a model that knows nothing would have."""
        nats = uniform(self.likelihood, math.prod(self.shape))
        return {**self.evaluate(), "uniform_nats": nats, "uniform_bits": bits_per_dim(nats, math.prod(self.shape))}

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
        if self.conditional:
            labels = torch.arange(len(x)) % len(self.classes) if labels is None else labels
            if len(labels) != len(x) or labels.min() < 0 or labels.max() >= len(self.classes):
                raise UserError(f"{len(x)} samples want {len(x)} labels of 0 to {len(self.classes) - 1}")
        elif labels is not None:
            raise UserError("this model was trained without --conditional: it takes no labels")
        noise = torch_stream(seed, "samples")
        known = known.expand(len(x), *x.shape[2:])
        parts = []
        with evaluating(self.average):
            for part in torch.split(torch.arange(len(x)), TOGETHER):
                y = None if labels is None else labels[part].to(self.device)
                parts.append(draw(self.average, self.likelihood, x[part].to(self.device), known[part], y, noise).cpu())
        return torch.cat(parts)

    def parameter_count(self) -> int:
        """Trainable numbers, those of taps that are hidden not counted."""
        masks = (m.mask for m in self.network.modules() if isinstance(m, CausalConv) and m.mask is not None)
        return count(self.network) - sum(int((mask == 0).sum()) for mask in masks)

    def _test(self, which: slice) -> tuple[Tensor, Tensor | None]:
        """Test images (B, C, H, W) in [0, 1], and their labels (B,) for a conditional model."""
        labels = self.held_out.labels if self.conditional else None
        x = self.held_out.images[which].to(self.device).float() / 255
        return x, None if labels is None else labels[which].to(self.device)

    def _sheets(self) -> Metrics:
        """Pictures (C, H', W'), always of the same noise: samples, and test images completed from their upper half."""
        seed, columns = derive(self.seed, "sheet"), self.columns
        labels = torch.arange(columns).repeat(ROWS) if self.conditional else None
        samples = self.sample(ROWS * columns, seed=seed, labels=labels)
        x, y = self._test(slice(columns))
        x = x.cpu()
        top = torch.zeros(self.shape[1:], dtype=torch.bool)
        top[: self.shape[1] // 2] = True
        labels = None if y is None else y.cpu().repeat(HALVES)
        completed = self.complete(x.repeat(HALVES, 1, 1, 1), top, seed=seed, labels=labels)
        return {
            "samples": sheet(samples, columns),
            "completions": sheet(torch.cat([x, x * top + 0.5 * ~top, completed]), columns),
        }


def draw(
    network: Network, likelihood: Likelihood, x: Tensor, known: Tensor, y: Tensor | None, noise: torch.Generator
) -> Tensor:
    """Images x (B, C, H, W) with every pixel that is not `known`, (B, H, W), drawn in its turn from the `noise`.

    A pixel costs one column of the network, which remembers what it computed for those before it.
    """
    batch, channels, height, width = x.shape
    x, known = x.clone(), known.to(x.device)
    with drawing(network, batch, height, width) as canvas:
        for canvas.row in range(height):
            canvas.column = 0
            network.begin_row(x, y)
            for canvas.column in range(width):
                pixel, given = x[:, :, canvas.row, canvas.column], known[:, canvas.row, canvas.column]  # views
                for c in range(channels):  # each colour sees those before it
                    out = network(pixel, y).view(batch, channels, -1)[:, c]
                    u = torch.rand(batch, generator=noise, dtype=x.dtype).to(x.device)
                    pixel[:, c] = torch.where(given, pixel[:, c], likelihood.sample(out, u))
                network.remember(pixel)
    return x
