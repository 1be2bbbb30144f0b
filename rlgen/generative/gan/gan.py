"""The generative adversarial network. Goodfellow et al. 2014, arXiv:1406.2661.

The games the two networks can play, and the penalties, are in `adversarial.py`; what helps where images are few, in
`augmentation.py`; the networks in `networks.py`.
"""

import copy

import torch
from torch import Tensor, nn

from rlgen.core.algorithm import Metrics, count, descend
from rlgen.core.device import fuse
from rlgen.core.errors import DataError, UserError
from rlgen.core.images import Grid
from rlgen.core.seeds import derive, initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.base import Generative, evaluating, update_ema
from rlgen.generative.gan.augmentation import Adaptive, DiffAugment, Unchanged
from rlgen.generative.gan.losses import GAMES, gradient_penalty, r1_penalty
from rlgen.generative.gan.networks import ARCHITECTURES
from rlgen.generative.grids import (
    COLUMNS,
    MANIFOLD_SIDE,
    ROWS,
    interpolation_grid,
    latent_grid,
    manifold_grid,
    sample_grid,
)  # fmt: skip

HELD_OUT = 1_000  # test images the discriminator is tried on
STRAIGHT = 1e-4  # sine of an angle below which an arc is a straight line to float32
CHUNK_SIZE = 500  # samples made at once, to bound the memory


class GAN(Generative):
    """Learn to make images by fooling a discriminator that learns to tell them from real ones."""

    Config = settings.GAN
    state = (
        "data", "noise", "chance", "augment", "generator", "ema", "discriminator",
        "generator_optimizer", "discriminator_optimizer", "steps", "time",
    )  # fmt: skip

    def __init__(self, task: str, config: settings.GAN, setup: Setup) -> None:
        super().__init__(task, config, setup)
        channels, height, width = self.shape
        if height != width or height % 4 or not 8 <= height <= 64:
            raise DataError(f"{task} holds images of {width}x{height} pixels: give a --size, such as 32")
        self.game = GAMES[config.loss]
        make, judge = ARCHITECTURES[config.architecture]
        with initial_weights(setup.seed):
            generator = make(config.latent, channels, height, config.width, self.num_classes)
            discriminator = judge(channels, height, config.discriminator_width, self.num_classes, config.spectral_norm)
        self.generator, self.discriminator = generator.to(self.device), discriminator.to(self.device)
        self.ema = copy.deepcopy(self.generator).eval().requires_grad_(False)
        if config.compile:
            penalised = config.gradient_penalty_weight or config.r1_weight  # compiled code has no second derivative
            fuse(self.device, self.generator, *([] if penalised else [self.discriminator]))
        self.generator_optimizer = self._adam(self.generator, config.lr)
        self.discriminator_optimizer = self._adam(self.discriminator, config.discriminator_lr)
        self.noise = torch_stream(setup.seed, "noise")  # on the CPU, so that a checkpoint fits every device
        self.chance = torch_stream(setup.seed, "chance")  # of augmentations and penalties
        self.augment = {
            "none": Unchanged(),
            "diffaugment": DiffAugment(self.chance),
            "adaptive": Adaptive(self.chance, config.augment_images),
        }[config.augment]
        self.steps = 0  # of the discriminator

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One step of the discriminator and, each time or every few times, one of the generator on the same fakes."""
        self.steps += 1
        turn = self.steps % self.config.critic_steps == 0  # of the generator
        z = torch.randn(len(x), self.config.latent, generator=self.noise).to(self.device)
        with torch.set_grad_enabled(turn), self.autocast():
            fake = self.generator(z, y)

        real, shown = self.augment(x), self.augment(fake.detach())
        with self.autocast():
            judging, metrics = self._judge(real, shown, y)
        judging_norm = descend(self.discriminator_optimizer, judging)
        metrics |= {"discriminator_loss": judging.detach(), "discriminator_gradient": judging_norm}
        if not turn:
            return metrics

        self.discriminator.requires_grad_(False)  # its gradients would be wasted
        shown = self.augment(fake)
        with self.autocast():
            making = self.game.made(self.discriminator(shown, y))
        making_norm = descend(self.generator_optimizer, making)
        self.discriminator.requires_grad_(True)

        steps = self.time / self.config.batch
        update_ema(self.ema, self.generator, min(self.config.ema, steps / (10 + steps)))  # young averages forget faster
        return {**metrics, "generator_loss": making.detach(), "generator_gradient": making_norm}

    def _judge(self, real: Tensor, fake: Tensor, y: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
        """What the discriminator minimises on what it is shown, and what there is to say about it."""
        both = torch.cat([real, fake])  # one pass is faster, and without batch norm the same
        real_logit, fake_logit = self.discriminator(both, None if y is None else y.repeat(2)).chunk(2)
        loss = self.game.real(real_logit) + self.game.fake(fake_logit)
        metrics = {}
        if weight := self.config.gradient_penalty_weight:
            mix = torch.rand(len(real), generator=self.chance).to(self.device)
            metrics["gradient_penalty"] = penalty = gradient_penalty(self.discriminator, real, fake, y, mix)
            loss = loss + weight * penalty
        if self.config.r1_weight and self.steps % self.config.r1_interval == 0:
            metrics["r1"] = penalty = r1_penalty(self.discriminator, real, y)
            loss = loss + self.config.r1_weight * self.config.r1_interval * penalty
        if isinstance(self.augment, Adaptive):
            self.augment.listen((real_logit.detach() - (self.game.boundary or 0)).sign())
            metrics["augmentation"] = self.augment.p
        return loss, {name: value.detach() for name, value in metrics.items()}

    def measure(self) -> Metrics:
        """How well the discriminator tells samples of the averaged generator from images it never saw."""
        real, labels = self.test_batch(slice(HELD_OUT))
        real, y = real.to(self.device), None if labels is None else labels.to(self.device)
        fake = self.sample(len(real), seed=derive(self.seed, "evaluation"), labels=labels).to(self.device)
        with evaluating(self.discriminator):
            real_logit, fake_logit = self.discriminator(real, y), self.discriminator(fake, y)
        metrics: dict[str, Tensor | float] = {
            "eval_real_logit": real_logit.mean(),
            "eval_fake_logit": fake_logit.mean(),
        }
        if (line := self.game.boundary) is not None:
            metrics["eval_accuracy"] = torch.cat([real_logit > line, fake_logit < line]).float().mean()
        return metrics

    def sample(self, count: int, *, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """`count` new images (N, C, H, W) in [0, 1], always the same for the same weights and `seed`.

        A conditional model takes the `labels` (N,) to make, or goes through the classes in turn.
        """
        labels = self.labels_for(count, labels)
        return self._images(torch.randn(count, self.config.latent, generator=torch_stream(seed, "samples")), labels)

    def interpolate(self, rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0) -> Tensor:
        """(rows, columns, C, H, W): each row goes from one image to another along a great arc of the noise.

        Between two points of a Gaussian in many dimensions a straight line leads through a middle where no noise
        lies (White 2016, arXiv:1609.04468). A conditional model keeps to one class per row.
        """
        start, end = torch.randn(2, rows, 1, self.config.latent, generator=torch_stream(seed, "ends of arcs"))
        at = torch.linspace(0, 1, columns)[None, :, None]
        angle = torch.cosine_similarity(start, end, -1).clamp(-1, 1).acos()[..., None]  # (rows, 1, 1)
        arc = (((1 - at) * angle).sin() * start + (at * angle).sin() * end) / angle.sin()
        z = torch.where(angle.sin() > STRAIGHT, arc, torch.lerp(start, end, at))
        labels = (torch.arange(rows) % self.num_classes).repeat_interleave(columns) if self.conditional else None
        return self._images(z.flatten(0, 1), labels).view(rows, columns, *self.shape)

    def manifold(self, side: int = MANIFOLD_SIDE, label: int = 0) -> Tensor:
        """(side · side, C, H, W): all that can be made from two numbers, in steps of equal probability."""
        if self.config.latent != 2:
            raise UserError(f"noise of {self.config.latent} numbers is no plane: train with --latent 2")
        return self._images(latent_grid(side), torch.full((side * side,), label) if self.conditional else None)

    def parameter_count(self) -> int:
        """Trainable numbers of both networks."""
        return count(self.generator, self.discriminator)

    def grids(self, seed: int) -> dict[str, Grid]:
        """Samples, of which a conditional model's columns are its classes, arcs and, of two numbers, their plane."""
        z = torch.randn(ROWS * COLUMNS, self.config.latent, generator=torch_stream(seed, "samples"))
        labels = None
        if self.conditional:
            labels = torch.arange(self.columns).repeat(ROWS)
            z = z[:ROWS].repeat_interleave(self.columns, 0)  # one noise per row
        grids = {
            "samples": sample_grid(self._images(z, labels), self.shown_classes),
            "interpolations": interpolation_grid(self.interpolate(seed=seed)),
        }
        if self.config.latent == 2:
            grids["manifold"] = manifold_grid(self.manifold())
        return grids

    def _images(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Noise (N, Z) to images (N, C, H, W) on the CPU, a bounded number at once."""
        parts = []
        with evaluating(self.ema):
            for i in range(0, len(z), CHUNK_SIZE):
                y = None if labels is None else labels[i : i + CHUNK_SIZE].to(self.device)
                parts.append(self.ema(z[i : i + CHUNK_SIZE].to(self.device), y).cpu())
        return torch.cat(parts)

    def _adam(self, network: nn.Module, lr: float) -> torch.optim.Adam:
        """Short memories: the other player moves, so what was downhill a while ago is no longer."""
        return torch.optim.Adam(network.parameters(), lr, betas=(self.config.beta1, 0.99), fused=True)
