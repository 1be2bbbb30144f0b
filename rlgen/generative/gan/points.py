"""A GAN of points in two dimensions: the same losses as for images, with mode coverage and pictures of the plane."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from rlgen.core.algorithm import Metrics, Progress, Report
from rlgen.core.errors import UserError
from rlgen.core.images import Grid
from rlgen.core.processes import share
from rlgen.core.seeds import derive
from rlgen.core.settings import Setup
from rlgen.data import points
from rlgen.data.order import Order
from rlgen.generative.base import evaluating
from rlgen.generative.gan import plane
from rlgen.generative.gan.dense import DenseDiscriminator, DenseGenerator
from rlgen.generative.gan.gan import GAN
from rlgen.generative.quality.coverage import DEVIATIONS, SAMPLES, coverage

ONLY_IMAGES = {  # settings of images, and their values where they have no effect
    "discriminator": None, "augment": "none", "size": None, "data": None, "skip_bad": False, "architecture": "dense",
}  # fmt: skip


class PointGAN(GAN):
    """A GAN whose samples are points (N, 2), from fully connected networks."""

    def load_data(self, setup: Setup) -> None:
        """The points of both splits; labels are their modes."""
        for name, value in ONLY_IMAGES.items():
            if (given := getattr(self.config, name)) != value:
                option = f"--{name.replace('_', '-')}{'' if given is True else f' {given}'}"
                raise UserError(f"{option}: {self.task} holds points, and it is for images: leave it out")
        self.distribution = points.load(self.task)
        self.test_points, self.test_labels = self.distribution.draw("test")
        x, y = self.distribution.draw("train")
        self.data: Any = PointMinibatches(x, y, self.config.batch, setup.seed, self.device)
        self.classes, self.shape = self.distribution.classes, cast(Any, (2,))
        if self.conditional and not self.classes:
            raise UserError(f"--conditional: {self.task} has no labels: take ring or grid, or leave it out")
        self.num_classes = len(self.classes) if self.conditional else 0
        self.shown_classes, self.columns = (), 2
        what = "modes" if self.classes else f"sections of equal probability, of {self.distribution.std:.3g} noise"
        self.task_facts = {
            "points": f"{len(x):,} for training, {len(self.test_points):,} for tests; a point counts as an image",
            "modes": f"{self.distribution.modes} {what}",
        }

    def build_networks(self) -> tuple[nn.Module, nn.Module]:
        """A new generator and a new discriminator."""
        config = self.config
        generator = DenseGenerator(config.latent, config.width, self.num_classes)
        return generator, DenseDiscriminator(config.discriminator_width, self.num_classes, config.spectral_norm)

    def test_batch(self, which: Tensor | slice) -> tuple[Tensor, Tensor | None]:
        """Test points (N, 2), and their modes (N,) for a conditional model."""
        return self.test_points[which], self.test_labels[which] if self.conditional else None

    def measure(self) -> Metrics:
        """Logits of the discriminator, and the mode coverage of `SAMPLES` generated points."""
        found = coverage(self.distribution, self.sample(SAMPLES, seed=derive(self.seed, "evaluation")))
        return {**super().measure(), "eval_modes": found.modes, "eval_high_quality": found.high_quality}

    def report(self, count: int, seed: int, progress: Progress) -> Report:
        """Logits, and the mode coverage of `count` generated points (0: `SAMPLES`) beside as many test points."""
        count = min(count or SAMPLES, len(self.test_points))
        found = coverage(self.distribution, self.sample(count, seed=derive(seed, "judged samples")))
        progress(count)
        real = coverage(self.distribution, self.test_points[:count])
        own = {name: float(value) for name, value in super().measure().items()}
        modes = self.distribution.modes
        lines = [
            f"{count:,} generated points beside as many test points",
            f"modes covered  {found.modes} of {modes} (test points: {real.modes})",
            f"high quality   {found.high_quality:.1%} within {DEVIATIONS:g} standard deviations"
            f" (test points: {real.high_quality:.1%})",
            f"own metrics  {'  '.join(f'{name} {value:.4g}' for name, value in own.items())}",
        ]
        values = {
            "samples": count, "modes": found.modes, "modes_in_all": modes, "high_quality": found.high_quality,
            "real_data_reference": {"modes": real.modes, "high_quality": real.high_quality},
            "mode_counts": found.counts.tolist(), **own,
        }  # fmt: skip
        return Report(values, lines)

    def field(self, side: int, label: int = 0) -> Tensor:
        """Logits of the discriminator on a lattice of the square of `extent`, (side, side), the upper row first."""
        x = plane.lattice(self.extent, side).to(self.device)
        y = torch.full((len(x),), label, device=self.device) if self.conditional else None
        with evaluating(self.discriminator):
            logits: Tensor = self.discriminator(x, y)
        return logits.view(side, side).cpu()

    @property
    def extent(self) -> float:
        """Half of the side of the square that is drawn, around the origin."""
        return round(1.25 * float(self.distribution.line.abs().max()), 1)

    def grids(self, seed: int) -> dict[str, Grid]:
        """Generated points over the data, and the field of the discriminator."""
        return {"samples": self.sample_picture(self.sample(SAMPLES, seed=seed))}

    def sample_picture(self, samples: Tensor, title: str = "generated points") -> Grid:
        """Generated points (N, 2) over the test points, and the field of the discriminator."""
        threshold = self.adversarial_loss.decision_threshold
        pictures = torch.stack([
            plane.scatter(self.test_points, samples, self.extent),
            plane.field(self.field(plane.PIXELS), threshold, samples, self.extent),
        ])  # fmt: skip
        around = "its median" if threshold is None else f"{threshold:g}, the threshold"
        columns = ("generated (orange) over data (grey)", f"logit of D: blue below, red above {around}")
        return Grid(pictures, 2, f"{title}, both axes from -{self.extent:g} to {self.extent:g}", column_labels=columns)


class PointMinibatches(Order):
    """All training points once per epoch, and their modes."""

    def __init__(self, x: Tensor, y: Tensor, batch: int, seed: int, device: torch.device) -> None:
        super().__init__(len(x), batch, seed, device)
        self.images, self.labels = x.to(device), y.to(device)

    def next(self) -> tuple[Tensor, Tensor]:
        """Points (B, 2) and their modes (B,); the last batch of an epoch may be smaller."""
        index = share(self.next_index()[0])
        return self.images[index], self.labels[index]
