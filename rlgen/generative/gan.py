"""The generative adversarial network. Goodfellow et al. 2014, arXiv:1406.2661."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen import data
from rlgen.core.algorithm import Metrics, count, descend
from rlgen.core.errors import DataError, UserError
from rlgen.core.seeds import derive, initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.base import Generative, evaluating, follow, sheet
from rlgen.generative.networks import Discriminator, Generator

ROWS, COLUMNS = 8, 8  # of the sheet of samples
HELD_OUT = 1_000  # test images the discriminator is tried on
TOGETHER = 500  # samples made at once, to bound the memory


class GAN(Generative):
    """Learn to make images by fooling a discriminator that learns to tell them from real ones."""

    Config = settings.GAN
    state = (
        "data", "noise", "generator", "average", "discriminator",
        "generator_optimizer", "discriminator_optimizer", "time",
    )  # fmt: skip

    def __init__(self, task: str, config: settings.GAN, setup: Setup) -> None:
        super().__init__(task, config, setup)
        channels, height, width = self.shape
        if height != width or height % 4 or not 8 <= height <= 64:
            raise DataError(f"{task} holds images of {width}x{height} pixels: give a --size, such as 32")
        if config.conditional and not self.classes:
            raise UserError(
                f"--conditional: {task} has no labels; put the images of each class into a folder of its own"
            )
        classes = len(self.classes) if config.conditional else 0
        with initial_weights(setup.seed):
            self.generator = Generator(config.latent, channels, height, config.width, classes).to(self.device)
            self.discriminator = Discriminator(channels, height, config.discriminator_width, classes).to(self.device)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.generator_optimizer = _adam(self.generator, config.lr)
        self.discriminator_optimizer = _adam(self.discriminator, config.discriminator_lr)
        self.noise = torch_stream(setup.seed, "noise")  # on the CPU, so that a checkpoint fits every device
        self.columns = len(self.classes) if config.conditional else COLUMNS  # of the sheet of samples
        self.held_out = data.load(task, "test", data=config.data, size=config.size)

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One step of the discriminator, then one of the generator, on the same fakes."""
        y = y if self.config.conditional else None
        z = torch.randn(len(x), self.config.latent, generator=self.noise).to(self.device)
        fake = self.generator(z, y)

        both = torch.cat([x, fake.detach()])  # one pass is faster, and without batch norm the same
        real_logit, fake_logit = self.discriminator(both, None if y is None else y.repeat(2)).chunk(2)
        judging = discriminator_loss(real_logit, fake_logit)
        judging_norm = descend(self.discriminator_optimizer, judging)

        self.discriminator.requires_grad_(False)  # its gradients would be wasted
        making = generator_loss(self.discriminator(fake, y))
        making_norm = descend(self.generator_optimizer, making)
        self.discriminator.requires_grad_(True)

        steps = self.time / self.config.batch
        follow(self.average, self.generator, min(self.config.ema, steps / (10 + steps)))  # young averages forget faster
        return {
            "discriminator_loss": judging.detach(),
            "generator_loss": making.detach(),
            "discriminator_gradient": judging_norm,
            "generator_gradient": making_norm,
        }

    def evaluate(self) -> Metrics:
        """Samples of the averaged generator, and how well the discriminator tells them from images it never saw."""
        real = self.held_out.images[:HELD_OUT].to(self.device).float() / 255
        labels = self.held_out.labels if self.config.conditional else None
        y = None if labels is None else labels[:HELD_OUT].to(self.device)
        fake = self.sample(len(real), seed=derive(self.seed, "evaluation"), labels=y).to(self.device)
        with evaluating(self.discriminator):
            real_logit, fake_logit = self.discriminator(real, y), self.discriminator(fake, y)
        return {
            "samples": self._sheet(),
            "eval_real_logit": real_logit.mean(),
            "eval_fake_logit": fake_logit.mean(),
            "eval_accuracy": torch.cat([real_logit > 0, fake_logit < 0]).float().mean(),
        }

    def sample(self, count: int, *, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """`count` new images (N, C, H, W) in [0, 1], always the same for the same weights and `seed`.

        A conditional model takes the `labels` (N,) to make, or goes through the classes in turn.
        """
        if self.config.conditional:
            labels = torch.arange(count) % len(self.classes) if labels is None else labels
            if len(labels) != count or labels.min() < 0 or labels.max() >= len(self.classes):
                raise UserError(f"{count} samples want {count} labels of 0 to {len(self.classes) - 1}")
        elif labels is not None:
            raise UserError("this model was trained without --conditional: it takes no labels")
        return self._images(torch.randn(count, self.config.latent, generator=torch_stream(seed, "samples")), labels)

    def parameter_count(self) -> int:
        """Trainable numbers of both networks."""
        return count(self.generator, self.discriminator)

    def _sheet(self) -> Tensor:
        """(C, H', W') of samples, always from the same noise; a conditional model's columns are its classes."""
        z = torch.randn(ROWS * COLUMNS, self.config.latent, generator=torch_stream(self.seed, "sheet"))
        labels = None
        if self.config.conditional:
            labels = torch.arange(self.columns).repeat(ROWS)
            z = z[:ROWS].repeat_interleave(self.columns, 0)  # one noise per row
        return sheet(self._images(z, labels), self.columns)

    def _images(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Noise (N, Z) to images (N, C, H, W) on the CPU, a bounded number at once."""
        parts = []
        with evaluating(self.average):
            for i in range(0, len(z), TOGETHER):
                y = None if labels is None else labels[i : i + TOGETHER].to(self.device)
                parts.append(self.average(z[i : i + TOGETHER].to(self.device), y).cpu())
        return torch.cat(parts)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))), with D the sigmoid of these logits (B,)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-log D(G(z)), which unlike log(1 - D(G(z))) does not saturate while the discriminator wins."""
    return F.softplus(-fake).mean()


def _adam(network: nn.Module, lr: float) -> torch.optim.Adam:
    """Short memories: the other player moves, so what was downhill a while ago is no longer."""
    return torch.optim.Adam(network.parameters(), lr, betas=(0.5, 0.99), fused=True)
