"""What generator and discriminator play for, and what keeps the discriminator smooth. Logits are (B,), high is real.

A game is a value: three functions of logits. A penalty takes the discriminator and the images it was shown.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Critic = Callable[[Tensor, Tensor | None], Tensor]  # images (B, C, H, W), labels (B,) -> logits (B,)


@dataclass(frozen=True)
class Game:
    """Mean losses of logits (B,)."""

    real: Callable[[Tensor], Tensor]  # of the discriminator, on real images
    fake: Callable[[Tensor], Tensor]  # of the discriminator, on the generator's
    made: Callable[[Tensor], Tensor]  # of the generator, on its own
    boundary: float | None = 0.0  # above it the discriminator says real; a Wasserstein critic says no such thing


GAMES = {
    # -log D(x) - log(1 - D(G(z))), D the sigmoid of the logit; -log D(G(z)) does not saturate while the discriminator
    # wins, as log(1 - D(G(z))) would. Goodfellow et al. 2014, arXiv:1406.2661.
    "non-saturating": Game(
        real=lambda logit: F.softplus(-logit).mean(),
        fake=lambda logit: F.softplus(logit).mean(),
        made=lambda logit: F.softplus(-logit).mean(),
    ),
    # ½ (D(x) - 1)² + ½ D(G(z))²; ½ (D(G(z)) - 1)². Mao et al. 2017, arXiv:1611.04076, equation 9.
    "lsgan": Game(
        real=lambda logit: 0.5 * (logit - 1).square().mean(),
        fake=lambda logit: 0.5 * logit.square().mean(),
        made=lambda logit: 0.5 * (logit - 1).square().mean(),
        boundary=0.5,
    ),
    # max(0, 1 - D(x)) + max(0, 1 + D(G(z))); -D(G(z)). Lim & Ye 2017, arXiv:1705.02894.
    "hinge": Game(
        real=lambda logit: F.relu(1 - logit).mean(),
        fake=lambda logit: F.relu(1 + logit).mean(),
        made=lambda logit: -logit.mean(),
    ),
    # D(G(z)) - D(x); -D(G(z)). Arjovsky et al. 2017, arXiv:1701.07875.
    "wgan": Game(
        real=lambda logit: -logit.mean(),
        fake=lambda logit: logit.mean(),
        made=lambda logit: -logit.mean(),
        boundary=None,
    ),
}


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, y: Tensor | None, mix: Tensor) -> Tensor:
    """Mean of (‖∇D(x̂)‖ - 1)², x̂ between a real and a generated image. Gulrajani et al. 2017, arXiv:1704.00028.

    `mix` (B,) in [0, 1] says where between, once for all numbers of an image.
    """
    gradient = _gradient(critic, torch.lerp(fake, real, mix.view(-1, 1, 1, 1)), y)
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    return (norm - 1).square().mean()


def r1_penalty(critic: Critic, real: Tensor, y: Tensor | None) -> Tensor:
    """Mean of ½ ‖∇D(x)‖² at real images. Mescheder et al. 2018, arXiv:1801.04406."""
    return 0.5 * _gradient(critic, real, y).square().sum(1).mean()


def _gradient(critic: Critic, x: Tensor, y: Tensor | None) -> Tensor:
    """(B, CHW) of each image's logit in its own pixels; can itself be descended."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x, y).sum(), x, create_graph=True)
    return gradient.flatten(1)
