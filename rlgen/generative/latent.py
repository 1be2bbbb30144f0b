"""What autoencoders of both kinds share: how they are trained, and pictures of what lies in their codes."""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor

from rlgen.core.algorithm import Metrics, count
from rlgen.core.device import half
from rlgen.core.errors import UserError
from rlgen.core.schedule import cosine
from rlgen.core.seeds import derive, initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.data import Dataset
from rlgen.generative import settings
from rlgen.generative.base import Generative, evaluating, follow, sheet
from rlgen.generative.coders import Coder

ROWS, COLUMNS = 8, 8  # of the sheets of pictures
SIDE = 20  # images along each side of the picture of a plane of codes
TOGETHER = 500  # images encoded or decoded at once, to bound the memory
FLOOR = 0.01  # share of the step size that is left at the end


class Latent(Generative):
    """A model with a code of `latent` numbers for each image, an encoder to it and a decoder back."""

    state = ("data", "noise", "network", "average", "optimizer", "time")
    config: settings.Coder
    held_out: Dataset  # test images as the model sees them

    def _build(self, setup: Setup, encoded: int, predicted: int) -> None:
        """Networks from images to `encoded` numbers, and from a code to `predicted` ones for each of an image's."""
        config = self.config
        if self.conditional and not self.classes:
            raise UserError(
                f"--conditional: {self.task} has no labels; put the images of each class into a folder of its own"
            )
        classes = len(self.classes) if self.conditional else 0
        channels, height, width = self.shape
        with initial_weights(setup.seed):
            self.network = Coder(
                config.network, (channels, height, width), encoded, config.latent, predicted,
                config.width, config.depth, classes,
            ).to(self.device)  # fmt: skip
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.lr, fused=True)
        self.noise = torch_stream(setup.seed, "noise")  # on the CPU, so that a checkpoint fits every device
        self.columns = len(self.classes) if self.conditional else COLUMNS  # of the sheet of samples
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and half(self.device))

    def update(self, x: Tensor, y: Tensor | None) -> Metrics:
        """One gradient step on images (B, C, H, W) and their labels (B,)."""
        config = self.config
        if config.anneal:
            for group in self.optimizer.param_groups:
                group["lr"] = cosine(config.lr, FLOOR * config.lr, config.anneal, self.time)
        metrics = super().update(x, y if self.conditional else None)
        steps = self.time // config.batch
        follow(self.average, self.network, min(config.ema, steps / (10 + steps)))  # young averages forget faster
        return metrics

    def encoded(self, network: Coder, x: Tensor, y: Tensor | None) -> Tensor:
        """The code of images: (B, C, H, W), (B,) -> (B, Z)."""
        raise NotImplementedError

    def pictured(self, network: Coder, z: Tensor, y: Tensor | None) -> Tensor:
        """What a code stands for: (B, Z), (B,) -> (B, C, H, W) in [0, 1]."""
        raise NotImplementedError

    def prior(self) -> tuple[Tensor, Tensor]:
        """Mean (Z,) and triangular root (Z, Z) of the covariance of the Gaussian that samples are drawn from."""
        raise NotImplementedError

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes of images in [0, 1], by the averaged weights: (N, C, H, W), (N,) -> (N, Z) on the CPU."""
        if x.shape[1:] != self.shape:
            raise UserError(f"images of shape {tuple(x.shape[1:])} cannot be encoded: it learned {self.shape}")
        return self._batched(self.encoded, x, labels)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of codes, by the averaged weights: (N, Z), (N,) -> (N, C, H, W) in [0, 1] on the CPU."""
        return self._batched(self.pictured, z, labels)

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) through their codes and back."""
        return self.decode(self.encode(x, labels), labels)

    def sample(self, count: int, *, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """`count` new images (N, C, H, W) in [0, 1], always the same for the same weights and `seed`.

        A conditional model takes the `labels` (N,) to make, or goes through the classes in turn.
        """
        if self.conditional:
            labels = torch.arange(count) % len(self.classes) if labels is None else labels
            if len(labels) != count or labels.min() < 0 or labels.max() >= len(self.classes):
                raise UserError(f"{count} samples want {count} labels of 0 to {len(self.classes) - 1}")
        elif labels is not None:
            raise UserError("this model was trained without --conditional: it takes no labels")
        noise = torch.randn(count, self.config.latent, generator=torch_stream(seed, "samples"))
        return self.decode(self._placed(noise), labels)

    def interpolate(self, rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0) -> Tensor:
        """(rows, columns, C, H, W): each row goes straight from the code of one test image to that of another.

        A conditional model keeps to the class of the first.
        """
        pairs = torch.randint(len(self.held_out), (2, rows), generator=torch_stream(seed, "ends of lines"))
        (first, labels), (last, others) = (self._test(index) for index in pairs)
        start, end = self.encode(first, labels), self.encode(last, others)
        at = torch.linspace(0, 1, columns)[None, :, None]
        z = torch.lerp(start.unsqueeze(1), end.unsqueeze(1), at)  # (rows, columns, Z)
        labels = None if labels is None else labels.repeat_interleave(columns)
        return self.decode(z.flatten(0, 1), labels).unflatten(0, (rows, columns))

    def manifold(self, side: int = SIDE, label: int = 0) -> Tensor:
        """(side · side, C, H, W): the whole plane of codes of two numbers, in steps of equal probability."""
        if self.config.latent != 2:
            raise UserError(f"a code of {self.config.latent} numbers is no plane: train with --latent 2")
        steps = torch.distributions.Normal(0, 1).icdf((torch.arange(side) + 0.5) / side)
        noise = torch.stack([steps.repeat(side), -steps.repeat_interleave(side)], 1)  # right and up
        labels = torch.full((side * side,), label) if self.conditional else None
        return self.decode(self._placed(noise), labels)

    def parameter_count(self) -> int:
        """Trainable numbers of encoder and decoder."""
        return count(self.network)

    def sheets(self) -> dict[str, Tensor]:
        """Pictures (C, H', W'), always of the same noise and test images."""
        seed, columns = derive(self.seed, "sheet"), self.columns
        noise = torch.randn(ROWS * columns, self.config.latent, generator=torch_stream(seed, "samples"))
        labels = None
        if self.conditional:
            labels = torch.arange(columns).repeat(ROWS)
            noise = noise[:ROWS].repeat_interleave(columns, 0)  # one noise per row
        pictures = {
            "samples": sheet(self.decode(self._placed(noise), labels), columns),
            "reconstructions": sheet(self._beside(), COLUMNS),
            "interpolations": sheet(self.interpolate(seed=seed).flatten(0, 1), COLUMNS),
        }
        if self.config.latent == 2:
            pictures["manifold"] = sheet(self.manifold(), SIDE)
        return pictures

    def _beside(self) -> Tensor:
        """(N, C, H, W): test images in rows, each above that of their reconstructions."""
        x, labels = self._test(torch.arange(COLUMNS * ROWS // 2) % len(self.held_out))
        return rows(x, self.reconstruct(x, labels))

    def _test(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Test images (N, C, H, W) in [0, 1], and their labels (N,) for a conditional model."""
        labels = self.held_out.labels if self.conditional else None
        return self.held_out.images[index] / 255, None if labels is None else labels[index]

    def _placed(self, noise: Tensor) -> Tensor:
        """Standard normal noise (N, Z) as codes (N, Z)."""
        mean, root = self.prior()
        return mean + noise @ root.T

    def _batched(
        self, function: Callable[[Coder, Tensor, Tensor | None], Tensor], inputs: Tensor, labels: Tensor | None
    ) -> Tensor:
        """A method of the averaged network on inputs (N, ...), a bounded number at once."""
        parts = []
        with evaluating(self.average):
            for part in torch.arange(len(inputs)).split(TOGETHER):
                y = None if labels is None else labels[part].to(self.device)
                parts.append(function(self.average, inputs[part].to(self.device), y).cpu())
        return torch.cat(parts)

    def _precision(self) -> torch.autocast:
        """Within it, convolutions and matrix products are computed in bfloat16 where that is faster."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    @property
    def _dims(self) -> int:
        return math.prod(self.shape)


def rows(*images: Tensor) -> Tensor:
    """Several times (N, C, H, W) as rows of COLUMNS images that take turns: (N + N + ..., C, H, W)."""
    return torch.stack([part.unflatten(0, (-1, COLUMNS)) for part in images], 1).flatten(0, 2)
