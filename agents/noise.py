"""Noisy linear layers, which explore with learned noise in their weights. Fortunato et al. 2018, arXiv:1706.10295."""

import torch
from torch import Tensor, nn

from rlgen.core.seeds import linear


class NoisyLinear(nn.Module):
    """A linear layer with learned, factorised Gaussian noise, (..., inputs) -> (..., outputs).

    The noise is constant until `draw_noise` or `zero_noise`, and is not saved.
    """

    noise_in: Tensor
    noise_out: Tensor

    def __init__(self, inputs: int, outputs: int, sigma: float = 0.5) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma * bound))
        self.register_buffer("noise_in", torch.zeros(inputs), persistent=False)
        self.register_buffer("noise_out", torch.zeros(outputs), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """y = (μ + σ ⊙ ε_out ε_inᵀ) x + μ_b + σ_b ⊙ ε_out (eq. 9 to 11)"""
        noise = self.noise_out.unsqueeze(-1) * self.noise_in.unsqueeze(-2)
        weight = torch.addcmul(self.weight, self.weight_sigma, noise)
        return linear(x, weight, torch.addcmul(self.bias, self.bias_sigma, self.noise_out))


class Noise:
    """The noise in all noisy layers of a network, independent for each of several seeds."""

    def __init__(self, network: nn.Module) -> None:
        layers = [layer for layer in network.modules() if isinstance(layer, NoisyLinear)]
        self.parts = [noise for layer in layers for noise in (layer.noise_in, layer.noise_out)]
        sizes = [noise.numel() for noise in self.parts]
        self.drawn = torch.empty(sum(sizes))
        self.views = [
            part.view_as(noise) for part, noise in zip(torch.split(self.drawn, sizes), self.parts, strict=True)
        ]

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Fresh noise f(ε), f(x) = sgn(x) √|x|, in every noisy layer."""
        if self.parts:
            normal = torch.randn(len(self.drawn), generator=generator)
            torch.sqrt(normal.abs(), out=self.drawn).copysign_(normal)
            torch._foreach_copy_(self.parts, self.views)

    def zero(self) -> None:
        """Set the noise of every noisy layer to 0, until it is drawn again."""
        for noise in self.parts:
            noise.zero_()


def draw_noise(network: nn.Module, generator: torch.Generator) -> None:
    """Fresh noise in every noisy layer of a network."""
    Noise(network).draw(generator)


def zero_noise(network: nn.Module) -> None:
    """No noise in any layer of a network, until it is drawn again."""
    Noise(network).zero()
