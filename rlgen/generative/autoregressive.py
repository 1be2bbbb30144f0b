"""Images one pixel after the other: p(x) = Π p(xᵢ | x₁ … xᵢ₋₁), trained by maximum likelihood, drawn in raster order."""

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rlgen import data
from rlgen.core.algorithm import Metrics, count
from rlgen.core.device import half
from rlgen.core.errors import UserError
from rlgen.core.seeds import derive, initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.base import Generative, Minibatches, evaluating, follow, sheet
from rlgen.generative.causal import drawing
from rlgen.generative.likelihoods import Likelihood, binarise, binarised, bits_per_dim, check_binary, likelihood

ROWS, COLUMNS = 8, 8  # of the sheet of samples
HALVES = 4  # rows of the sheet of completions: the images, what is given of them, and as often completed
TOGETHER = 256  # images scored or drawn at once, to bound the memory
WARMUP = 200  # gradient steps in which the step size grows to its full length
FLOOR = 0.01  # share of it that is left at the end


class Network(Protocol):
    """What predicts each pixel from those before it, for whole images or, within `drawing`, for the next pixel."""

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C · K, H, W), or (B, C) -> (B, C · K); the K numbers of a colour side by side."""
        ...

    def begin_row(self, x: Tensor, y: Tensor | None = None) -> None:
        """Prepare a row to be drawn: all rows of x (B, C, H, W) above it are known."""
        ...

    def remember(self, x: Tensor) -> None:
        """The next pixel (B, C) is known now."""
        ...


class Autoregressive(Generative):
    """What PixelCNN and PixelRNN share: a `network` that predicts every pixel of an image from those before it."""

    state = ("data", "noise", "network", "average", "optimizer", "time")

    def __init__(self, task: str, config: Any, setup: Setup) -> None:
        super().__init__(task, config, setup)
        if config.conditional and not self.classes:
            raise UserError(
                f"--conditional: {task} has no labels; put the images of each class into a folder of its own"
            )
        self.likelihood = likelihood(config.likelihood, config.components)
        self._binarise()
        with initial_weights(setup.seed):
            network = self.build(self.likelihood.width, len(self.classes) if config.conditional else 0)
        self.network = network.to(self.device)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr, betas=(0.9, 0.99), fused=True)
        self.noise = torch_stream(setup.seed, "noise")  # on the CPU, so that a checkpoint fits every device
        self.columns = len(self.classes) if config.conditional else COLUMNS  # of the sheet of samples
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and half(self.device))

    def build(self, outputs: int, classes: int) -> nn.Module:
        """The network: of each colour of each pixel it predicts `outputs` numbers."""
        raise NotImplementedError

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One gradient step on images (B, C, H, W) and their labels (B,)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * self._share()
        metrics = super().update(x, y)
        steps = self.time / self.config.batch
        follow(self.average, self.network, min(self.config.ema, steps / (10 + steps)))  # young averages forget faster
        return metrics

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """The mean of -log p(x) in nats."""
        if self.dynamic:
            x = binarise(x, self.noise)
        with self._precision():
            out = self.network(x, y if self.config.conditional else None)
        return self._nats(out.float(), x).mean(), {}

    def evaluate(self) -> Metrics:
        """-log p(x) of all test images under the averaged weights, samples, and test images completed from their top."""
        with evaluating(self.average):
            batches = (self._test(slice(i, i + TOGETHER)) for i in range(0, len(self.held_out), TOGETHER))
            nats = torch.cat([self._nats(self.average(x, y), x) for x, y in batches]).mean()
        return {"eval_nats": nats, "eval_bits": bits_per_dim(nats.item(), math.prod(self.shape)), **self._sheets()}

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
        if x.shape[1:] != self.shape:
            raise UserError(f"images of shape {tuple(x.shape[1:])} cannot be completed: it learned {self.shape}")
        if known.shape not in (x.shape[2:], (len(x), *x.shape[2:])):
            raise UserError(f"what is known of {tuple(x.shape)} has the shape {tuple(known.shape)}: give one flag a pixel")
        if self.config.conditional:
            labels = torch.arange(len(x)) % len(self.classes) if labels is None else labels
            if len(labels) != len(x) or labels.min() < 0 or labels.max() >= len(self.classes):
                raise UserError(f"{len(x)} samples want {len(x)} labels of 0 to {len(self.classes) - 1}")
        elif labels is not None:
            raise UserError("this model was trained without --conditional: it takes no labels")
        noise = torch_stream(seed, "samples")
        known = known.expand(len(x), *x.shape[2:])
        parts = []
        with evaluating(self.average):
            for part in torch.arange(len(x)).split(TOGETHER):
                y = None if labels is None else labels[part].to(self.device)
                parts.append(draw(self.average, self.likelihood, x[part].to(self.device), known[part], y, noise).cpu())
        return torch.cat(parts)

    def parameter_count(self) -> int:
        """Trainable numbers, those of hidden taps not counted."""
        return count(self.network)

    def _nats(self, out: Tensor, x: Tensor) -> Tensor:
        """-log p(x) of each image, (B,), from what was predicted, (B, C · K, H, W)."""
        return -self.likelihood.log_prob(out.unflatten(1, (x.shape[1], -1)).movedim(2, -1), x).flatten(1).sum(1)

    def _binarise(self) -> None:
        """See to it that two levels are all there are where the likelihood knows no more, in the test images for ever."""
        config = self.config
        self.dynamic = self.likelihood.levels == 2 and config.binarise == "dynamic"
        self.held_out = data.load(self.task, "test", data=config.data, size=config.size)
        if self.likelihood.levels == 2 and config.binarise == "none":
            check_binary(self.held_out)
        elif self.likelihood.levels == 2:
            self.held_out = binarised(self.held_out)
            if config.binarise == "static":
                dataset = binarised(data.load(self.task, data=config.data, size=config.size))
                self.data = Minibatches(dataset, config.batch, self.seed, self.device)

    def _share(self) -> float:
        """Of the full step size: rising at first, then falling along half a cosine where `anneal` says so."""
        rise = min(1.0, self.time / self.config.batch / WARMUP)
        if not self.config.anneal:
            return rise
        fall = (1 + math.cos(math.pi * min(1.0, self.time / self.config.anneal))) / 2
        return rise * (FLOOR + (1 - FLOOR) * fall)

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()

    def _test(self, which: slice) -> tuple[Tensor, Tensor | None]:
        """Test images (B, C, H, W) in [0, 1], and their labels (B,) for a conditional model."""
        labels = self.held_out.labels if self.config.conditional else None
        x = self.held_out.images[which].to(self.device).float() / 255
        return x, None if labels is None else labels[which].to(self.device)

    def _sheets(self) -> Metrics:
        """Pictures (C, H', W'), always from the same noise: samples, and test images completed from their upper half."""
        seed, columns = derive(self.seed, "sheet"), self.columns
        labels = torch.arange(columns).repeat(ROWS) if self.config.conditional else None
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
    network: Any, likelihood: Likelihood, x: Tensor, known: Tensor, y: Tensor | None, noise: torch.Generator,
    *, cached: bool = True,
) -> Tensor:  # fmt: skip
    """Images x (B, C, H, W) with every pixel that is not `known`, (B, H, W), drawn in its turn.

    `cached`, a pixel costs one column of the network; otherwise a pass over the whole image, as an oracle for tests.
    """
    x, known = x.clone(), known.to(x.device)
    batch, channels, height, width = x.shape
    with drawing(network, batch, height, width) if cached else torch.inference_mode() as canvas:
        for i in range(height):
            if cached:
                canvas.row, canvas.column = i, 0
                network.begin_row(x, y)
            for j in range(width):
                if cached:
                    canvas.column = j
                for c in range(channels):
                    out = network(x[:, :, i, j], y) if cached else network(x, y)[:, :, i, j]
                    u = torch.rand(batch, generator=noise, dtype=x.dtype).to(x.device)
                    value = likelihood.sample(out.unflatten(1, (channels, -1))[:, c], u)
                    x[:, c, i, j] = torch.where(known[:, i, j], x[:, c, i, j], value)
                if cached:
                    network.remember(x[:, :, i, j])
    return x
