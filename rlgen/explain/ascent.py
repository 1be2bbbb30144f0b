"""Gradient ascent on the image: what maximises a class's logit or a unit. Simonyan et al. 2013, arXiv:1312.6034.

The prior of natural images: total variation, Mahendran & Vedaldi 2014, arXiv:1412.0035; blur, Yosinski et al. 2015,
arXiv:1506.06579; jitter, Mordvintsev et al. 2015.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core.optim import eager
from rlgen.core.schedule import cosine
from rlgen.explain.layers import Unit, up_to

Objective = Callable[[Tensor], Tensor]  # images (N, C, H, W) -> what to maximise (N,)


@dataclass(frozen=True)
class Prior:
    """Weights of the prior of natural images, and the ascent."""

    decay: float = 1e-3  # λ of λ ‖x‖², x normalised
    variation: float = 0.0  # weight of the squared differences of neighbouring pixels
    jitter: int = 0  # pixels by which the image is shifted at each step, at most
    blur: float = 0.0  # standard deviation in pixels of the Gaussian after every tenth step
    steps: int = 300
    lr: float = 0.05  # of Adam at the start; it falls to 0 along a cosine


def ascend(
    objective: Objective,
    start: Tensor,
    prior: Prior,
    stream: torch.Generator,
    low: Tensor | None = None,
    high: Tensor | None = None,
) -> Tensor:
    """The normalised images (N, C, H, W) that maximise f(x) - λ ‖x‖² - v TV(x), from `start` (N, C, H, W).

    Pixels stay between `low` and `high` (C, 1, 1), black and white after normalisation, and are floating-point numbers
    throughout: rounded to bytes, small steps would be lost.
    """
    x = start.detach().clone().requires_grad_()
    optimizer = eager.Adam([x], prior.lr)
    for step in range(prior.steps):
        optimizer.param_groups[0]["lr"] = cosine(prior.lr, 0.0, prior.steps, step)
        shift = torch.randint(-prior.jitter, prior.jitter + 1, (2,), generator=stream).tolist()
        shifted = x.roll(shift, (-2, -1)) if prior.jitter else x
        penalty = prior.decay * x.square().sum() + prior.variation * total_variation(x).sum()
        loss = penalty - objective(shifted).sum()
        (x.grad,) = torch.autograd.grad(loss, x)
        optimizer.step()
        with torch.no_grad():
            if prior.blur and step % 10 == 9:
                x.copy_(blurred(x, prior.blur))
            if low is not None and high is not None:
                x.copy_(x.clamp(low, high))
    return x.detach()


def total_variation(x: Tensor) -> Tensor:
    """Σ (x_{i+1,j} - x_{i,j})² + (x_{i,j+1} - x_{i,j})², (N, C, H, W) -> (N,)."""
    return x.diff(dim=-1).square().sum((1, 2, 3)) + x.diff(dim=-2).square().sum((1, 2, 3))


def blurred(x: Tensor, deviation: float) -> Tensor:
    """Images (N, C, H, W) convolved with a Gaussian of `deviation` pixels; the border is repeated beyond the image."""
    radius = max(1, math.ceil(3 * deviation))
    at = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    weights = torch.softmax(-at.square() / (2 * deviation**2), 0)
    maps = F.pad(x.flatten(0, 1).unsqueeze(1), 4 * (radius,), mode="replicate")
    maps = F.conv2d(F.conv2d(maps, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return maps.view(x.shape)


def class_scores(network: nn.Module, classes: Tensor) -> Objective:
    """The logit of class `classes[n]` (N,) of image n."""
    return lambda x: network(x).gather(-1, classes.unsqueeze(-1)).squeeze(-1)


def unit_mean(network: nn.Module, unit: Unit) -> Objective:
    """The mean of a unit over the positions of its map."""
    layers = up_to(network, unit.block)
    return lambda x: layers(x)[:, unit.index].reshape(len(x), -1).mean(1)
