"""Autoregressive models: p(x) = Π p(xᵢ | x₁, …, xᵢ₋₁) over the pixels, trained by maximum likelihood."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from rlgen import data
from rlgen.core.algorithm import Metrics
from rlgen.core.errors import UserError
from rlgen.core.images import Grid
from rlgen.core.seeds import initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.autoregressive.causal import PixelNetwork
from rlgen.generative.autoregressive.sampler import PixelSampler
from rlgen.generative.base import evaluating
from rlgen.generative.ema import EMAModel
from rlgen.generative.grids import ROWS, sample_grid
from rlgen.generative.likelihoods import Likelihood, bits_per_dim, stored_images
from rlgen.generative.sampling import Labels

COMPLETIONS = 4  # of each image in the grid of completions
CHUNK_SIZE = 256  # images evaluated or sampled at once, to bound the memory


class Autoregressive(EMAModel):
    """A `network` that predicts each pixel of an image from earlier ones: the base of PixelCNN and PixelRNN."""

    network: PixelNetwork
    ema: PixelNetwork

    def __init__(self, task: str, config: Any, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.prepare_data(setup)
        with initial_weights(setup.seed):
            network = self.build(self.outputs, self.num_classes)
        self.set_network(network, setup)

    def real(self, split: data.Split) -> data.Dataset:
        """The images with the levels of the likelihood, as samples have them: binarised for a Bernoulli likelihood."""
        return stored_images(self.load(split), self.binarisation, split)

    def networks(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The network with an image."""
        return {"network": (self.network, self.example(*self.shape))}

    def build(self, outputs: int, classes: int) -> PixelNetwork:
        """A network with `outputs` outputs for each channel of each pixel; `classes` is 0 where it takes no labels."""
        raise NotImplementedError

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """Mean of -log p(x), or of -log p(x|y) for a conditional model, in nats per image."""
        x = self.binarise_batch(x)
        with self.autocast():
            out = self.network(x, y)
        loss = nll(self.likelihood, out, x).mean()
        return loss, {"nats": loss.detach()}

    def measure(self) -> Metrics:
        """-log p(x) of the EMA network, mean over all test images: nats per image and bits per dimension."""
        losses, chunk_size = [], self.chunk_size(CHUNK_SIZE)
        with evaluating(self.ema):
            for i in range(0, len(self.test_set), chunk_size):
                x, y = self.test_batch(slice(i, i + chunk_size))
                x, y = x.to(self.device), None if y is None else y.to(self.device)
                losses.append(nll(self.likelihood, self.ema(x, y), x).cpu().double())
        mean = torch.cat(losses).mean()
        return {"eval_nats": mean, "eval_bits": bits_per_dim(mean.item(), math.prod(self.shape))}

    def final(self) -> Metrics:
        """`measure`, and the nats and bits of a uniform distribution for comparison."""
        return {**self.measure(), **self.uniform_baseline()}

    def draw_samples(self, count: int, labels: Tensor | None, seed: int) -> Tensor:
        """Images sampled pixel by pixel: (count, C, H, W) in [0, 1] on the CPU."""
        x = torch.zeros(count, *self.shape)
        return self.complete(x, torch.zeros(self.shape[1:], dtype=torch.bool), seed=seed, labels=labels)

    def complete(self, x: Tensor, known: Tensor, *, seed: int = 0, labels: Labels | None = None) -> Tensor:
        """Images x (N, C, H, W) in [0, 1] with all pixels replaced by samples except the `known` ones.

        `known` is boolean, (H, W) or (N, H, W). A sampled pixel depends on the earlier pixels, known and sampled, and
        on no later one. Raises UserError where a shape does not fit.
        """
        images = []
        for sampler in self.samplers(x, known, seed=seed, labels=labels):
            while not sampler.done:
                sampler.sample_row()
            images.append(sampler.x.cpu())
        return torch.cat(images)

    def samplers(
        self, x: Tensor, known: Tensor, *, seed: int = 0, labels: Labels | None = None
    ) -> Iterator[PixelSampler]:
        """What `complete` does for a chunk of the images at a time, to be finished in this order: a row at a time."""
        if tuple(x.shape[1:]) != self.shape:
            raise UserError(f"images of shape {tuple(x.shape[1:])}: this model completes images of shape {self.shape}")
        if tuple(known.shape) not in (tuple(x.shape[2:]), (len(x), *x.shape[2:])):
            raise UserError(
                f"a mask of known pixels of shape {tuple(known.shape)} for images {tuple(x.shape)}: its shape must be"
                f" {tuple(x.shape[2:])} or {(len(x), *x.shape[2:])}"
            )
        _, given = self.labels_for(len(x), labels)
        noise = torch_stream(seed, "samples")
        known = known.expand(len(x), *x.shape[2:])
        for i in torch.split(torch.arange(len(x)), CHUNK_SIZE):
            y = None if given is None else given[i].to(self.device)
            yield PixelSampler(self.ema, self.likelihood, x[i].to(self.device), known[i], y, noise)

    def grids(self, seed: int) -> dict[str, Grid]:
        """Samples, with a column per class for a conditional model; test images completed from their upper halves."""
        columns = self.columns
        labels = torch.arange(columns).repeat(ROWS) if self.conditional else None
        samples = self.sample(ROWS * columns, seed=seed, labels=labels)
        x, y = self.test_batch(torch.arange(columns) % len(self.test_set))
        upper = torch.zeros(self.shape[1:], dtype=torch.bool)
        upper[: self.shape[1] // 2] = True
        labels = None if y is None else y.repeat(COMPLETIONS)
        completed = self.complete(x.repeat(COMPLETIONS, 1, 1, 1), upper, seed=seed, labels=labels)
        images = torch.cat([x, x * upper + 0.5 * ~upper, completed])
        rows = ("image", "given half", *["completion"] * COMPLETIONS)
        return {
            "samples": sample_grid(samples, self.shown_classes),
            "completions": Grid(images, columns, "completions", row_labels=rows),
        }


def nll(likelihood: Likelihood, out: Tensor, x: Tensor) -> Tensor:
    """-log p(x) in nats of each image: outputs of a network (B, C · K, H, W), images (B, C, H, W) -> (B,)."""
    out = out.reshape(len(x), x.shape[1], -1, *x.shape[2:]).movedim(2, -1)
    return -likelihood.log_prob(out, x).flatten(1).sum(1)
