"""Models with one loss: Adam with a step size that falls, and the average of the weights, which is what is scored.

Averaging: Polyak & Juditsky 1992, doi:10.1137/0330046. Half a cosine: Loshchilov & Hutter 2017, arXiv:1608.03983.
"""

import copy
import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rlgen.core.algorithm import Metrics, count, descend
from rlgen.core.device import fuse
from rlgen.core.schedule import cosine
from rlgen.core.seeds import torch_stream
from rlgen.core.settings import Setup
from rlgen.generative.autoregressive.causal import masked_weight_count
from rlgen.generative.base import MAX_OUTPUTS, Generative, Minibatches, update_ema
from rlgen.generative.likelihoods import binarise, bits_per_dim, likelihood, protocol, seen, uniform

FLOOR = 0.01  # share of the step size that is left at the end


class EMAModel(Generative):
    """A `network`, whose `loss` each step descends, and its `average`."""

    state = ("data", "noise", "network", "ema", "optimizer", "time")
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)  # of Adam
    lr_warmup_steps: ClassVar[int] = 1  # gradient steps in which the step size grows to its full length
    predicted: int = 1  # numbers the network says of each of an image's
    network: Any
    ema: Any

    def set_network(self, network: nn.Module, setup: Setup) -> None:
        """`network` is the one to train; its weights have just been drawn."""
        self.network = network.to(self.device)
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        if self.config.compile:
            fuse(self.device, self.network, *self.network.children())  # some are called whole, some part by part
        self.optimizer = torch.optim.Adam(self.network.parameters(), self.config.lr, betas=self.betas, fused=True)
        self.noise = torch_stream(setup.seed, "noise")  # on the CPU, so that a checkpoint fits every device

    def prepare_data(self, setup: Setup) -> None:
        """Take images as the likelihood that is asked for has them."""
        self.likelihood = likelihood(self.config.likelihood, self.config.components)
        self.predicted = self.likelihood.width
        self.protocol = protocol(self.likelihood, self.config.binarise)
        self.test_set = seen(self.test_set, self.protocol, "test")  # drawn once, so that numbers compare
        if self.protocol in ("static", "binary"):
            images = seen(self.load("train"), self.protocol, "train")
            self.data = Minibatches(images, self.config.batch, setup.seed, self.device)

    def binarise_batch(self, x: Tensor) -> Tensor:
        """A minibatch (B, C, H, W) of grey images as the likelihood has it: drawn anew where that is dynamic."""
        return binarise(x, self.noise) if self.protocol == "dynamic" else x

    def chunk_size(self, most: int) -> int:
        """How many images can be predicted at once, `most` at most, for the numbers to fit in memory."""
        return max(1, min(most, MAX_OUTPUTS // (math.prod(self.shape) * self.predicted)))

    def uniform_baseline(self) -> Metrics:
        """What a model that knows nothing would have: nats and bits of levels all alike."""
        dims = math.prod(self.shape)
        nats = uniform(self.likelihood, dims)
        return {"uniform_nats": nats, "uniform_bits": bits_per_dim(nats, dims)}

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One gradient step on images (B, C, H, W), and their labels (B,) for a conditional model."""
        config, steps = self.config, self.time // self.config.batch
        lr = cosine(config.lr, FLOOR * config.lr, config.lr_anneal, self.time) if config.lr_anneal else config.lr
        for group in self.optimizer.param_groups:
            group["lr"] = lr * min(1.0, (steps + 1) / self.lr_warmup_steps)
        loss, metrics = self.loss(x, y)
        norm = descend(self.optimizer, loss)
        update_ema(self.ema, self.network, min(config.ema, steps / (10 + steps)))  # young averages forget faster
        return {"loss": loss.detach(), "gradient_norm": norm, **metrics}

    def loss(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Metrics]:
        """What the model minimises, and what it has to say about it."""
        raise NotImplementedError

    def parameter_count(self) -> int:
        """Trainable numbers of the network; those a mask hides are none."""
        return count(self.network) - masked_weight_count(self.network)
