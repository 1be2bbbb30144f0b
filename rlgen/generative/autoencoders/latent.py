"""What autoencoders of both kinds share: how they are trained, and pictures of what lies in their codes."""

from collections.abc import Callable

import torch
from torch import Tensor

from rlgen.core.errors import UserError
from rlgen.core.seeds import initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoencoders.coders import Coder
from rlgen.generative.base import COLUMNS, ROWS, SIDE, evaluating, plane, sheet
from rlgen.generative.ema import Averaged

TOGETHER = 500  # images encoded or decoded at once, to bound the memory


class Latent(Averaged):
    """A model with a code of `latent` numbers for each image, an encoder to it and a decoder back."""

    config: settings.Coder
    network: Coder
    average: Coder

    def build(self, setup: Setup, encoded: int) -> None:
        """Networks from images to `encoded` numbers, and from a code to what is predicted."""
        config = self.config
        sizes = encoded, config.latent, self.predicted, config.width, config.depth, self.told
        with initial_weights(setup.seed):
            network = Coder(config.network, self.shape, *sizes)
        self.adopt(network, setup)

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
        labels = self.asked(count, labels)
        noise = torch.randn(count, self.config.latent, generator=torch_stream(seed, "samples"))
        return self.decode(self._placed(noise), labels)

    def interpolate(self, rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0) -> Tensor:
        """(rows, columns, C, H, W): each row goes straight from the code of one test image to that of another.

        A conditional model keeps to the class of the first.
        """
        pairs = torch.randint(len(self.held_out), (2, rows), generator=torch_stream(seed, "ends of lines"))
        (first, labels), (last, others) = (self.unseen(index) for index in pairs)
        start, end = self.encode(first, labels), self.encode(last, others)
        at = torch.linspace(0, 1, columns)[None, :, None]
        z = torch.lerp(start.unsqueeze(1), end.unsqueeze(1), at)  # (rows, columns, Z)
        labels = None if labels is None else labels.repeat_interleave(columns)
        return torch.unflatten(self.decode(z.flatten(0, 1), labels), 0, (rows, columns))

    def manifold(self, side: int = SIDE, label: int = 0) -> Tensor:
        """(side · side, C, H, W): the whole plane of codes of two numbers, in steps of equal probability."""
        if self.config.latent != 2:
            raise UserError(f"a code of {self.config.latent} numbers is no plane: train with --latent 2")
        labels = torch.full((side * side,), label) if self.conditional else None
        return self.decode(self._placed(plane(side)), labels)

    def sheets(self, seed: int) -> dict[str, Tensor]:
        """Samples, test images and their reconstructions, lines between codes and, of two numbers, their plane."""
        columns = self.columns
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
        x, labels = self.unseen(torch.arange(COLUMNS * ROWS // 2) % len(self.held_out))
        return rows(x, self.reconstruct(x, labels))

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
            for part in torch.split(torch.arange(len(inputs)), self.together(TOGETHER)):
                y = None if labels is None else labels[part].to(self.device)
                parts.append(function(self.average, inputs[part].to(self.device), y).cpu())
        return torch.cat(parts)


def rows(*images: Tensor) -> Tensor:
    """Several times (N, C, H, W) as rows of COLUMNS images that take turns: (N + N + ..., C, H, W)."""
    return torch.stack([torch.unflatten(part, 0, (-1, COLUMNS)) for part in images], 1).flatten(0, 2)
