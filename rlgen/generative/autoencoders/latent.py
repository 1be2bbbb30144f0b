"""What autoencoders of both kinds share: how they are trained, and pictures of what lies in their codes."""

from collections.abc import Callable

import torch
from torch import Tensor

from rlgen.core.errors import UserError
from rlgen.core.images import Grid
from rlgen.core.seeds import initial_weights, torch_stream
from rlgen.core.settings import Setup
from rlgen.generative import settings
from rlgen.generative.autoencoders.coders import EncoderDecoder
from rlgen.generative.base import evaluating
from rlgen.generative.ema import EMAModel
from rlgen.generative.grids import (
    COLUMNS,
    MANIFOLD_SIDE,
    ROWS,
    comparison_grid,
    interpolation_grid,
    latent_grid,
    manifold_grid,
    sample_grid,
)  # fmt: skip

CHUNK_SIZE = 500  # images encoded or decoded at once, to bound the memory


class Latent(EMAModel):
    """A model with a code of `latent` numbers for each image, an encoder to it and a decoder back."""

    config: settings.Coder
    network: EncoderDecoder
    ema: EncoderDecoder

    def build(self, setup: Setup, encoded: int) -> None:
        """Networks from images to `encoded` numbers, and from a code to what is predicted."""
        config = self.config
        sizes = encoded, config.latent, self.predicted, config.width, config.depth, self.num_classes
        with initial_weights(setup.seed):
            network = EncoderDecoder(config.network, self.shape, *sizes)
        self.set_network(network, setup)

    def latent_code(self, network: EncoderDecoder, x: Tensor, y: Tensor | None) -> Tensor:
        """The code of images: (B, C, H, W), (B,) -> (B, Z)."""
        raise NotImplementedError

    def decoded_mean(self, network: EncoderDecoder, z: Tensor, y: Tensor | None) -> Tensor:
        """What a code stands for: (B, Z), (B,) -> (B, C, H, W) in [0, 1]."""
        raise NotImplementedError

    def prior(self) -> tuple[Tensor, Tensor]:
        """Mean (Z,) and triangular root (Z, Z) of the covariance of the Gaussian that samples are drawn from."""
        raise NotImplementedError

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes of images in [0, 1], by the averaged weights: (N, C, H, W), (N,) -> (N, Z) on the CPU."""
        if x.shape[1:] != self.shape:
            raise UserError(f"images of shape {tuple(x.shape[1:])} cannot be encoded: it learned {self.shape}")
        return self._batched(self.latent_code, x, labels)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of codes, by the averaged weights: (N, Z), (N,) -> (N, C, H, W) in [0, 1] on the CPU."""
        return self._batched(self.decoded_mean, z, labels)

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) through their codes and back."""
        return self.decode(self.encode(x, labels), labels)

    def sample(self, count: int, *, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """`count` new images (N, C, H, W) in [0, 1], always the same for the same weights and `seed`.

        A conditional model takes the `labels` (N,) to make, or goes through the classes in turn.
        """
        labels = self.labels_for(count, labels)
        noise = torch.randn(count, self.config.latent, generator=torch_stream(seed, "samples"))
        return self.decode(self._placed(noise), labels)

    def interpolate(self, rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0) -> Tensor:
        """(rows, columns, C, H, W): each row goes straight from the code of one test image to that of another.

        A conditional model keeps to the class of the first.
        """
        pairs = torch.randint(len(self.test_set), (2, rows), generator=torch_stream(seed, "ends of lines"))
        (first, labels), (last, others) = (self.test_batch(index) for index in pairs)
        start, end = self.encode(first, labels), self.encode(last, others)
        at = torch.linspace(0, 1, columns)[None, :, None]
        z = torch.lerp(start.unsqueeze(1), end.unsqueeze(1), at)  # (rows, columns, Z)
        labels = None if labels is None else labels.repeat_interleave(columns)
        return torch.unflatten(self.decode(z.flatten(0, 1), labels), 0, (rows, columns))

    def manifold(self, side: int = MANIFOLD_SIDE, label: int = 0) -> Tensor:
        """(side · side, C, H, W): the whole plane of codes of two numbers, in steps of equal probability."""
        if self.config.latent != 2:
            raise UserError(f"a code of {self.config.latent} numbers is no plane: train with --latent 2")
        labels = torch.full((side * side,), label) if self.conditional else None
        return self.decode(self._placed(latent_grid(side)), labels)

    def grids(self, seed: int) -> dict[str, Grid]:
        """Samples, test images and their reconstructions, lines between codes and, of two numbers, their plane."""
        columns = self.columns
        noise = torch.randn(ROWS * columns, self.config.latent, generator=torch_stream(seed, "samples"))
        labels = None
        if self.conditional:
            labels = torch.arange(columns).repeat(ROWS)
            noise = noise[:ROWS].repeat_interleave(columns, 0)  # one noise per row
        grids = {
            "samples": sample_grid(self.decode(self._placed(noise), labels), self.shown_classes),
            "reconstructions": self.reconstructions(),
            "interpolations": interpolation_grid(self.interpolate(seed=seed)),
        }
        if self.config.latent == 2:
            grids["manifold"] = manifold_grid(self.manifold())
        return grids

    def reconstructions(self) -> Grid:
        """Rows of test images, each above the row of their reconstructions."""
        x, labels = self.test_batch(torch.arange(COLUMNS * ROWS // 2) % len(self.test_set))
        return comparison_grid("reconstructions", image=x, reconstruction=self.reconstruct(x, labels))

    def _placed(self, noise: Tensor) -> Tensor:
        """Standard normal noise (N, Z) as codes (N, Z)."""
        mean, root = self.prior()
        return mean + noise @ root.T

    def _batched(
        self, function: Callable[[EncoderDecoder, Tensor, Tensor | None], Tensor], inputs: Tensor, labels: Tensor | None
    ) -> Tensor:
        """A method of the averaged network on inputs (N, ...), a bounded number at once."""
        parts = []
        with evaluating(self.ema):
            for part in torch.split(torch.arange(len(inputs)), self.chunk_size(CHUNK_SIZE)):
                y = None if labels is None else labels[part].to(self.device)
                parts.append(function(self.ema, inputs[part].to(self.device), y).cpu())
        return torch.cat(parts)
