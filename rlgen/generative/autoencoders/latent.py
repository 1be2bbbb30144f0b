"""Models with a latent vector per image: the base of the autoencoder and the variational autoencoder."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

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
)

CHUNK_SIZE = 500  # images encoded or decoded at once, to bound the memory


class Units(NamedTuple):
    """How much each dimension of the code is used for some images."""

    codes: Tensor  # (N, Z)
    use: Tensor  # (Z,)
    measure: str  # what `use` is, with its unit
    active: Tensor  # (Z,) bool

    @property
    def order(self) -> Tensor:
        """(Z,): the dimensions by falling use."""
        return self.use.argsort(descending=True, stable=True)


class LatentModel(EMAModel):
    """A model with a latent code of `latent` dimensions per image, an encoder and a decoder.

    A model implements `latent_code`, `decoded_mean`, `prior` and `units`, besides `loss` and `measure`.
    """

    config: settings.Coder
    network: EncoderDecoder
    ema: EncoderDecoder

    def build(self, setup: Setup, encoder_outputs: int) -> None:
        """Create the networks: images to `encoder_outputs`, codes to the outputs that the likelihood takes."""
        config = self.config
        sizes = encoder_outputs, config.latent, self.outputs, config.width, config.depth, self.num_classes
        with initial_weights(setup.seed):
            network = EncoderDecoder(config.network, self.shape, *sizes)
        self.set_network(network, setup)

    def networks(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """The encoder with an image, the decoder with a code."""
        inputs = self.example(*self.shape), self.example(self.config.latent)
        return {"encoder": (self.network.encoder, inputs[0]), "decoder": (self.network.decoder, inputs[1])}

    def latent_code(self, network: EncoderDecoder, x: Tensor, y: Tensor | None) -> Tensor:
        """The code of images: (B, C, H, W), (B,) -> (B, Z)."""
        raise NotImplementedError

    def decoded_mean(self, network: EncoderDecoder, z: Tensor, y: Tensor | None) -> Tensor:
        """The mean image of codes: (B, Z), (B,) -> (B, C, H, W) in [0, 1]."""
        raise NotImplementedError

    def prior(self) -> tuple[Tensor, Tensor]:
        """The Gaussian that codes of samples are drawn from: mean (Z,) and lower root (Z, Z) of its covariance."""
        raise NotImplementedError

    def units(self, x: Tensor, labels: Tensor | None = None) -> Units:
        """The use of each dimension of the code for images (N, C, H, W) by the EMA network, on the CPU."""
        raise NotImplementedError

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes of images in [0, 1] by the EMA network: (N, C, H, W), (N,) -> (N, Z) on the CPU.

        Raises UserError for images of another shape.
        """
        if x.shape[1:] != self.shape:
            raise UserError(f"images of shape {tuple(x.shape[1:])}: this model encodes images of shape {self.shape}")
        return self._chunked(self.latent_code, x, labels)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of codes by the EMA network: (N, Z), (N,) -> (N, C, H, W) in [0, 1] on the CPU."""
        return self._chunked(self.decoded_mean, z, labels)

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W), encoded and decoded."""
        return self.decode(self.encode(x, labels), labels)

    def draw_samples(self, count: int, labels: Tensor | None, seed: int) -> Tensor:
        """Images of codes drawn from the prior: (count, C, H, W) in [0, 1] on the CPU."""
        noise = torch.randn(count, self.config.latent, generator=torch_stream(seed, "samples"))
        return self.decode(self._codes(noise), labels)

    def interpolate(self, rows: int = ROWS, columns: int = COLUMNS, *, seed: int = 0) -> Tensor:
        """(rows, columns, C, H, W): images on a straight line between the codes of two test images in each row.

        A conditional model decodes a row with the label of its first image.
        """
        pairs = torch.randint(len(self.test_set), (2, rows), generator=torch_stream(seed, "ends of lines"))
        (first, labels), (last, last_labels) = (self.test_batch(index) for index in pairs)
        start, end = self.encode(first, labels), self.encode(last, last_labels)
        t = torch.linspace(0, 1, columns)[None, :, None]
        z = torch.lerp(start.unsqueeze(1), end.unsqueeze(1), t)  # (rows, columns, Z)
        labels = None if labels is None else labels.repeat_interleave(columns)
        return torch.unflatten(self.decode(z.flatten(0, 1), labels), 0, (rows, columns))

    def manifold(self, side: int = MANIFOLD_SIDE, label: int = 0) -> Tensor:
        """(side · side, C, H, W): images of two-dimensional codes on a grid of steps of equal probability."""
        if self.config.latent != 2:
            raise UserError(f"a manifold needs codes of 2 dimensions, not {self.config.latent}: train with --latent 2")
        labels = torch.full((side * side,), label) if self.conditional else None
        return self.decode(self._codes(latent_grid(side)), labels)

    def grids(self, seed: int) -> dict[str, Grid]:
        """Samples, with a column per class and a noise vector per row for a conditional model; reconstructions;
        interpolations; the manifold of two-dimensional codes.
        """
        columns = self.columns
        noise = torch.randn(ROWS * columns, self.config.latent, generator=torch_stream(seed, "samples"))
        labels = None
        if self.conditional:
            labels = torch.arange(columns).repeat(ROWS)
            noise = noise[:ROWS].repeat_interleave(columns, 0)
        grids = {
            "samples": sample_grid(self.decode(self._codes(noise), labels), self.shown_classes),
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

    def _codes(self, noise: Tensor) -> Tensor:
        """Standard normal noise (N, Z) -> codes (N, Z) of the prior."""
        mean, root = self.prior()
        return mean + noise @ root.T

    def _chunked(
        self, function: Callable[[EncoderDecoder, Tensor, Tensor | None], Tensor], inputs: Tensor, labels: Tensor | None
    ) -> Tensor:
        """A function of the EMA network on inputs (N, ...), a bounded number at once."""
        outputs = []
        with evaluating(self.ema):
            for index in torch.split(torch.arange(len(inputs)), self.chunk_size(CHUNK_SIZE)):
                y = None if labels is None else labels[index].to(self.device)
                outputs.append(function(self.ema, inputs[index].to(self.device), y).cpu())
        return torch.cat(outputs)
