"""The generative adversarial network (GAN). Goodfellow et al. 2014, arXiv:1406.2661.

Adversarial losses and gradient penalties are in `losses.py`, augmentation in `augmentation.py`, the generators and
discriminators in `networks.py`.
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from rlgen.core import processes
from rlgen.core.algorithm import Metrics, count
from rlgen.core.device import fuse
from rlgen.core.ema import average_of, decay_at, update_ema
from rlgen.core.errors import DataError, UserError
from rlgen.core.images import Grid
from rlgen.core.optim import Optimization
from rlgen.core.seeds import derive, initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.base import Generative, evaluating
from rlgen.generative.gan.augmentation import AdaptiveAugment, DiffAugment, NoAugmentation
from rlgen.generative.gan.losses import LOSSES, gradient_penalty, r1_penalty
from rlgen.generative.gan.networks import ARCHITECTURES, NetworkDiscriminator
from rlgen.generative.grids import (
    COLUMNS,
    MANIFOLD_SIDE,
    ROWS,
    interpolation_grid,
    latent_grid,
    manifold_grid,
    sample_grid,
)

TEST_IMAGES = 1_000  # on which the discriminator is evaluated
MIN_SINE = 1e-4  # of the angle between two noise vectors; below it their arc is a straight line in float32
CHUNK_SIZE = 500  # images generated at once, to bound the memory


class GAN(Generative):
    """A generator, trained to produce images that a discriminator, trained alongside, classifies as real.

    Samples come from an exponential moving average (EMA) of the generator.
    """

    Config = settings.GAN
    config: settings.GAN
    state = (
        "data", "noise", "regularization_stream", "augment", "generator", "ema", "discriminator",
        "generator_optimizer", "discriminator_optimizer", "steps", "time",
    )  # fmt: skip
    learned = ("ema", "discriminator", "time")

    def __init__(self, task: str, config: settings.GAN, setup: Setup) -> None:
        super().__init__(task, config, setup)
        self.adversarial_loss = LOSSES[config.loss]
        with initial_weights(setup.seed):
            generator, discriminator = self.build_networks()
        self.generator, self.discriminator = generator.to(self.device), discriminator.to(self.device)
        self.ema = average_of(self.generator)
        if config.compile:
            penalised = config.gradient_penalty_weight or config.r1_weight  # compiled code has no second derivative
            fuse(self.device, self.generator, *([] if penalised else [self.discriminator]))
        self.generator_optimizer = Optimization(config, self.generator)
        self.discriminator_optimizer = Optimization(replace(config, lr=config.discriminator_lr), self.discriminator)
        self.noise = torch_stream(setup.seed, "noise")  # on the CPU, so that a checkpoint fits every device
        self.regularization_stream = torch_stream(setup.seed, "chance")  # of augmentations and gradient penalties
        self.augment = {
            "none": NoAugmentation(),
            "diffaugment": DiffAugment(self.regularization_stream),
            "adaptive": AdaptiveAugment(self.regularization_stream, config.augment_images),
        }[config.augment]
        self.steps = 0  # gradient steps of the discriminator

    def build_networks(self) -> tuple[nn.Module, nn.Module]:
        """A new generator and a new discriminator. Raises UserError where they do not fit the images."""
        config, (channels, height, width) = self.config, self.shape
        if height != width or height % 4 or not 8 <= height <= 64:
            raise DataError(f"{self.task} holds images of {width}x{height} pixels: give a --size, such as 32")
        if config.architecture not in ARCHITECTURES:
            raise UserError(
                f"--architecture {config.architecture}: it is for points: take {' or '.join(ARCHITECTURES)}"
            )
        generator_type, own_type = ARCHITECTURES[config.architecture]
        discriminator_type = partial(NetworkDiscriminator, config.discriminator) if config.discriminator else own_type
        generator = generator_type(config.latent, channels, height, config.width, self.num_classes)
        return generator, discriminator_type(
            channels, height, config.discriminator_width, self.num_classes, config.spectral_norm
        )

    def networks(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The generator with noise, the discriminator with an image."""
        inputs = self.example(self.config.latent), self.example(*self.shape)
        return {"generator": (self.generator, inputs[0]), "discriminator": (self.discriminator, inputs[1])}

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One gradient step of the discriminator and, every `critic_steps` steps, one of the generator.

        Images x (B, C, H, W) in [0, 1], labels y (B,) for a conditional model. Both steps are on the same noise.
        """
        self.steps += 1
        generator_steps, remainder = divmod(self.steps, self.config.critic_steps)
        train_generator = remainder == 0
        z = processes.rows(lambda n: torch.randn(n, self.config.latent, generator=self.noise), len(x)).to(self.device)
        with torch.set_grad_enabled(train_generator), self.autocast():
            fake = self.generator(z, y)

        real, detached = self.augment(x), self.augment(fake.detach())
        with self.autocast():
            discriminator_loss, metrics = self._discriminator_loss(real, detached, y)
        batch = {"images": x, "labels": y, "noise": z}
        norm = self.discriminator_optimizer.step(lambda: discriminator_loss, self.time, batch)["grad_norm"]
        metrics |= {"discriminator_loss": discriminator_loss.detach(), "discriminator_gradient": norm}
        if not train_generator:
            return metrics

        self.discriminator.requires_grad_(False)  # no gradient of its weights is needed for the generator's step
        try:
            augmented = self.augment(fake)
            with self.autocast():
                loss = self.adversarial_loss.generator_loss(self.discriminator(augmented, y))
            norm = self.generator_optimizer.step(lambda: loss, self.time, batch)["grad_norm"]
        finally:
            self.discriminator.requires_grad_(True)

        update_ema(self.ema, self.generator, decay_at(generator_steps, self.config.ema))
        return {**metrics, "generator_loss": loss.detach(), "generator_gradient": norm}

    def _discriminator_loss(
        self, real: Tensor, fake: Tensor, y: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Loss of the discriminator with its penalties, and metrics, on augmented images (B, C, H, W), labels (B,).

        L = E[real_loss(D(x))] + E[fake_loss(D(G(z)))] + λ · gradient penalty + γ · interval · R1 (every interval steps)
        """
        config, both = self.config, torch.cat([real, fake])  # one pass: no logit depends on another image
        real_logit, fake_logit = self.discriminator(both, None if y is None else y.repeat(2)).chunk(2)
        loss = self.adversarial_loss.real_loss(real_logit) + self.adversarial_loss.fake_loss(fake_logit)
        metrics = {}
        if weight := config.gradient_penalty_weight:
            stream = self.regularization_stream
            mix = processes.rows(lambda n: torch.rand(n, generator=stream), len(real)).to(self.device)
            metrics["gradient_penalty"] = penalty = gradient_penalty(self.discriminator, real, fake, y, mix)
            loss = loss + weight * penalty
        if config.r1_weight and self.steps % config.r1_interval == 0:
            metrics["r1"] = penalty = r1_penalty(self.discriminator, real, y)
            loss = loss + config.r1_weight * config.r1_interval * penalty
        if isinstance(self.augment, AdaptiveAugment):
            self.augment.adapt((real_logit.detach() - (self.adversarial_loss.decision_threshold or 0)).sign())
            metrics["augmentation"] = self.augment.p
        return loss, {name: value.detach() for name, value in metrics.items()}

    def measure(self) -> Metrics:
        """Mean logits of the discriminator on test images and on as many samples, and its accuracy on both together."""
        real, labels = self.test_batch(slice(TEST_IMAGES))
        real, y = real.to(self.device), None if labels is None else labels.to(self.device)
        fake = self.sample(len(real), seed=derive(self.seed, "evaluation"), labels=labels).to(self.device)
        with evaluating(self.discriminator):
            real_logit, fake_logit = self.discriminator(real, y), self.discriminator(fake, y)
        metrics: dict[str, Tensor | float] = {
            "eval_real_logit": real_logit.mean(),
            "eval_fake_logit": fake_logit.mean(),
        }
        if (threshold := self.adversarial_loss.decision_threshold) is not None:
            metrics["eval_accuracy"] = torch.cat([real_logit > threshold, fake_logit < threshold]).float().mean()
        return metrics

    def baselines(self) -> dict[str, float]:
        """Losses without penalties, logit and accuracy of a discriminator at chance; none for a critic."""
        threshold, loss = self.adversarial_loss.decision_threshold, self.adversarial_loss
        if threshold is None:
            return {}
        logit = torch.tensor([threshold])
        return {
            "discriminator_loss_at_chance": float(loss.real_loss(logit) + loss.fake_loss(logit)),
            "generator_loss_at_chance": float(loss.generator_loss(logit)),
            "logit_at_chance": threshold,
            "accuracy_at_chance": 0.5,
        }

    def draw_samples(self, count: int, labels: Tensor | None, seed: int) -> Tensor:
        """Images of the EMA generator from standard normal noise: (count, C, H, W) in [0, 1] on the CPU."""
        return self._generate(torch.randn(count, self.config.latent, generator=torch_stream(seed, "samples")), labels)

    def interpolate(self, rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0) -> Tensor:
        """(rows, columns, C, H, W): images along a great arc from one noise vector to another in each row.

        z(t) = (sin((1 - t) ω) z₀ + sin(t ω) z₁) / sin ω, ω the angle between z₀ and z₁. In many dimensions nearly all
        noise has the same norm, which a straight line would leave. White 2016, arXiv:1609.04468. The rows of a
        conditional model are of one class each.
        """
        start, end = torch.randn(2, rows, 1, self.config.latent, generator=torch_stream(seed, "ends of arcs"))
        t = torch.linspace(0, 1, columns)[None, :, None]
        angle = torch.cosine_similarity(start, end, -1).clamp(-1, 1).acos()[..., None]  # (rows, 1, 1)
        arc = (((1 - t) * angle).sin() * start + (t * angle).sin() * end) / angle.sin()
        z = torch.where(angle.sin() > MIN_SINE, arc, torch.lerp(start, end, t))
        labels = (torch.arange(rows) % self.num_classes).repeat_interleave(columns) if self.conditional else None
        return self._generate(z.flatten(0, 1), labels).view(rows, columns, *self.shape)

    def manifold(self, side: int = MANIFOLD_SIDE, label: int = 0) -> Tensor:
        """(side · side, C, H, W): images of two-dimensional noise on a grid of steps of equal probability."""
        if self.config.latent != 2:
            raise UserError(f"a manifold needs noise of 2 dimensions, not {self.config.latent}: train with --latent 2")
        return self._generate(latent_grid(side), torch.full((side * side,), label) if self.conditional else None)

    def parameter_count(self) -> int:
        """Number of trainable parameters of both networks."""
        return count(self.generator, self.discriminator)

    def grids(self, seed: int) -> dict[str, Grid]:
        """Samples, for a conditional model a column per class and a noise vector per row; interpolations; manifold."""
        grids = {
            "samples": sample_grid(self._generate(*self.fixed_noise(seed)), self.shown_classes),
            "interpolations": interpolation_grid(self.interpolate(seed=seed)),
        }
        if self.config.latent == 2:
            grids["manifold"] = manifold_grid(self.manifold())
        return grids

    def fixed_noise(self, seed: int) -> tuple[Tensor, Tensor | None]:
        """Noise (N, Z) and, for a conditional model, labels (N,) of the grid of samples of `seed`, row by row."""
        z = torch.randn(ROWS * COLUMNS, self.config.latent, generator=torch_stream(seed, "samples"))
        if not self.conditional:
            return z, None
        return z[:ROWS].repeat_interleave(self.columns, 0), torch.arange(self.columns).repeat(ROWS)

    def fixed_samples(self) -> tuple[Tensor, Tensor | None]:
        """Images (N, C, H, W) and labels (N,) of the sample grids of this run, whose noise is the same at all times."""
        z, labels = self.fixed_noise(derive(self.seed, "sheet"))
        return self._generate(z, labels), labels

    def logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of the discriminator for images (N, C, H, W) in [0, 1], labels (N,): (N,) on the CPU; high is real."""
        with evaluating(self.discriminator):
            y = None if labels is None else labels.to(self.device)
            logits: Tensor = self.discriminator(x.to(self.device), y).cpu()
        return logits

    def _generate(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Images of the EMA generator on the CPU: noise (N, Z), labels (N,) -> (N, C, H, W)."""
        images = []
        with evaluating(self.ema):
            for i in range(0, len(z), CHUNK_SIZE):
                y = None if labels is None else labels[i : i + CHUNK_SIZE].to(self.device)
                images.append(self.ema(z[i : i + CHUNK_SIZE].to(self.device), y).cpu())
        return torch.cat(images)
