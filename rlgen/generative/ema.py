"""Models with one loss, and an exponential moving average (EMA) of the weights."""

import math
from typing import Any

from torch import Tensor, nn

from rlgen.core.algorithm import Metrics, count
from rlgen.core.device import fuse
from rlgen.core.ema import average_of, decay_at, update_ema
from rlgen.core.optim import Optimization
from rlgen.core.seeds import torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.autoregressive.causal import masked_weight_count
from rlgen.generative.base import Generative
from rlgen.generative.likelihoods import binarise, bits_per_dim, likelihood, protocol, stored_images, uniform
from rlgen.generative.minibatches import Minibatches

CONDITIONAL = ", conditional on the class: -log p(x given y)"  # addition to the name of a protocol
MAX_OUTPUTS = 2**25  # float32 outputs of a network at once, to bound the memory: 128 MiB


class EMAModel(Generative):
    """A `network` trained on one loss, and `ema`, the moving average of its weights, which is evaluated and sampled.

    A model implements `loss`, `measure`, `draw_samples` and `grids`, and calls `set_network` in its constructor.
    """

    state = ("data", "noise", "network", "ema", "optimizer", "steps", "time")
    learned = ("ema", "time")
    outputs: int = 1  # outputs of the network per channel of a pixel
    network: Any
    ema: Any

    def set_network(self, network: nn.Module, setup: Setup) -> None:
        """Train `network`, whose initial weights are drawn already."""
        self.network = network.to(self.device)
        self.ema = average_of(self.network)
        if self.config.compile:
            fuse(self.device, self.network, *self.network.children())  # models call the whole or single children
        self.optimizer = Optimization(self.config, self.network)
        self.noise = torch_stream(setup.seed, "noise")  # on the CPU, so that a checkpoint fits every device
        self.steps = 0  # gradient steps

    def prepare_data(self, setup: Setup) -> None:
        """Choose the likelihood and binarise the images as it needs them."""
        self.likelihood = likelihood(self.config.likelihood, self.config.components)
        self.outputs = self.likelihood.width
        self.binarisation = protocol(self.likelihood, self.config.binarise)
        self.protocol = self.binarisation + (CONDITIONAL if self.conditional else "")
        self.test_set = stored_images(self.test_set, self.binarisation, "test")  # one draw, so that results compare
        if self.binarisation in ("static", "binary"):
            images = stored_images(self.load("train"), self.binarisation, "train")
            self.data = Minibatches(images, self.config.batch, setup.seed, self.device)

    def binarise_batch(self, x: Tensor) -> Tensor:
        """Training images (B, C, H, W) as the likelihood takes them: with dynamic binarisation a fresh draw."""
        return binarise(x, self.noise) if self.binarisation == "dynamic" else x

    def chunk_size(self, largest: int) -> int:
        """Number of images, at most `largest`, for which the outputs of the network fit in memory."""
        return max(1, min(largest, MAX_OUTPUTS // (math.prod(self.shape) * self.outputs)))

    def uniform_baseline(self) -> Metrics:
        """-log p(x) of the uniform distribution: nats per image and bits per dimension."""
        dims = math.prod(self.shape)
        nats = uniform(self.likelihood, dims)
        return {"uniform_nats": nats, "uniform_bits": bits_per_dim(nats, dims)}

    def baselines(self) -> dict[str, float]:
        """The values of `uniform_baseline` for a model with a likelihood."""
        return {name: float(v) for name, v in self.uniform_baseline().items()} if hasattr(self, "likelihood") else {}

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One gradient step on images (B, C, H, W), with labels (B,) for a conditional model."""
        loss, metrics = self.loss(x, y)
        update = self.optimizer.step(lambda: loss, self.time, {"images": x, "labels": y})
        if not self.optimizer.updated:  # within an accumulation
            return {"loss": loss.detach(), **metrics}
        self.steps += 1
        update_ema(self.ema, self.network, decay_at(self.steps, self.config.ema))
        return {"loss": loss.detach(), "gradient_norm": update["grad_norm"], **metrics}

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """The loss of images (B, C, H, W), with labels (B,) for a conditional model; and metrics."""
        raise NotImplementedError

    def parameter_count(self) -> int:
        """Number of trainable parameters, those without effect behind a mask left out."""
        return count(self.network) - masked_weight_count(self.network)
