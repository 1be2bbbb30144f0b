"""Adversarial losses of a GAN, and gradient penalties of its discriminator.

Logits are (B,); a high logit means real. A loss is a value: three functions of logits and a decision threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Critic = Callable[[Tensor, Tensor | None], Tensor]  # images (B, C, H, W), labels (B,) -> logits (B,)


@dataclass(frozen=True)
class AdversarialLoss:
    """Means over a batch of logits (B,)."""

    real_loss: Callable[[Tensor], Tensor]  # of the discriminator, on logits of real images
    fake_loss: Callable[[Tensor], Tensor]  # of the discriminator, on logits of generated images
    generator_loss: Callable[[Tensor], Tensor]  # on logits of generated images
    decision_threshold: float | None = 0.0  # logit above which an image is classified as real; None: no classifier


LOSSES = {
    # -log D(x) - log(1 - D(G(z))), where D is the sigmoid of the logit; the generator minimises -log D(G(z)), which has
    # a gradient where D(G(z)) is near 0, unlike log(1 - D(G(z))). Goodfellow et al. 2014, arXiv:1406.2661.
    "non-saturating": AdversarialLoss(
        real_loss=lambda logit: F.softplus(-logit).mean(),
        fake_loss=lambda logit: F.softplus(logit).mean(),
        generator_loss=lambda logit: F.softplus(-logit).mean(),
    ),
    # ½ (D(x) - 1)² + ½ D(G(z))²; ½ (D(G(z)) - 1)². Mao et al. 2017, arXiv:1611.04076, equation 9.
    "lsgan": AdversarialLoss(
        real_loss=lambda logit: 0.5 * (logit - 1).square().mean(),
        fake_loss=lambda logit: 0.5 * logit.square().mean(),
        generator_loss=lambda logit: 0.5 * (logit - 1).square().mean(),
        decision_threshold=0.5,
    ),
    # max(0, 1 - D(x)) + max(0, 1 + D(G(z))); -D(G(z)). Lim & Ye 2017, arXiv:1705.02894.
    "hinge": AdversarialLoss(
        real_loss=lambda logit: F.relu(1 - logit).mean(),
        fake_loss=lambda logit: F.relu(1 + logit).mean(),
        generator_loss=lambda logit: -logit.mean(),
    ),
    # D(G(z)) - D(x); -D(G(z)). The critic estimates a distance and does not classify. Arjovsky et al. 2017,
    # arXiv:1701.07875.
    "wgan": AdversarialLoss(
        real_loss=lambda logit: -logit.mean(),
        fake_loss=lambda logit: logit.mean(),
        generator_loss=lambda logit: -logit.mean(),
        decision_threshold=None,
    ),
}


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, y: Tensor | None, mix: Tensor) -> Tensor:
    """E[(‖∇D(x̂)‖ - 1)²] at x̂ = mix · real + (1 - mix) · fake. Gulrajani et al. 2017, arXiv:1704.00028.

    Images are (B, C, H, W) or points (B, 2); `mix` (B,) in [0, 1] is one weight per image.
    """
    gradient = _image_gradient(critic, torch.lerp(fake, real, mix.view(-1, *[1] * (real.ndim - 1))), y)
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    return (norm - 1).square().mean()


def r1_penalty(critic: Critic, real: Tensor, y: Tensor | None) -> Tensor:
    """E[½ ‖∇D(x)‖²] at real images (B, C, H, W). Mescheder et al. 2018, arXiv:1801.04406."""
    return 0.5 * _image_gradient(critic, real, y).square().sum(1).mean()


def _image_gradient(critic: Critic, x: Tensor, y: Tensor | None) -> Tensor:
    """∇D(x) of each image: (B, C, H, W) -> (B, CHW), differentiable with respect to the weights of D."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x, y).sum(), x, create_graph=True)
    return gradient.flatten(1)
