"""Sampling pixel by pixel, in raster order, a row at a time: a caller can show the rows and stop between two."""

import torch
from torch import Tensor

from rlgen.generative.autoregressive.cache import SamplingCache, attached
from rlgen.generative.autoregressive.causal import PixelNetwork
from rlgen.generative.likelihoods import Likelihood


class PixelSampler:
    """Images x (B, C, H, W) whose pixels that are not `known`, (B, H, W), become samples; `x` holds those so far.

    A channel of a pixel costs one column of the network, as the activations at earlier pixels are cached. Between two
    rows the network can be used for whole images.
    """

    def __init__(
        self,
        network: PixelNetwork,
        likelihood: Likelihood,
        x: Tensor,
        known: Tensor,
        y: Tensor | None,
        noise: torch.Generator,
    ) -> None:
        self.network, self.likelihood, self.y, self.noise = network, likelihood, y, noise
        self.x, self.known = x.clone(), known.to(x.device)
        self.cache = SamplingCache(*x.shape[2:])
        self.rows = 0  # sampled

    @property
    def done(self) -> bool:
        """Whether all rows are sampled."""
        return self.rows == self.cache.height

    def sample_row(self) -> None:
        """Sample the unknown pixels of the next row."""
        x, known, noise = self.x, self.known, self.noise
        batch, channels, _, width = x.shape
        with attached(self.network, self.cache) as cache:
            cache.row, cache.column = self.rows, 0
            self.network.begin_row(x, self.y)
            for cache.column in range(width):
                pixel, given = x[:, :, cache.row, cache.column], known[:, cache.row, cache.column]  # views
                for c in range(channels):  # a channel depends on the earlier channels of its pixel
                    out = self.network(pixel, self.y).view(batch, channels, -1)[:, c]  # (B, K)
                    u = torch.rand(batch, generator=noise, dtype=x.dtype).to(x.device)
                    pixel[:, c] = torch.where(given, pixel[:, c], self.likelihood.sample(out, u))
                self.network.append_pixel(pixel)
        self.rows += 1


def sample_pixels(
    network: PixelNetwork, likelihood: Likelihood, x: Tensor, known: Tensor, y: Tensor | None, noise: torch.Generator
) -> Tensor:
    """Images x (B, C, H, W) with every pixel that is not `known`, (B, H, W), replaced by a sample, in raster order."""
    sampler = PixelSampler(network, likelihood, x, known, y, noise)
    while not sampler.done:
        sampler.sample_row()
    return sampler.x
