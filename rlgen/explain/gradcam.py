"""Grad-CAM: the maps of the last convolution, weighted by their gradients. Selvaraju et al. 2016, arXiv:1610.02391.

Behind global average pooling and a linear head it is proportional to the class activation map: Zhou et al. 2015,
arXiv:1512.04150.
"""

import torch
from torch import Tensor, nn

from rlgen.core.errors import UserError
from rlgen.explain.gradients import logit
from rlgen.explain.layers import split_at_map


def grad_cam(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """ReLU(Σ_k α_k A^k) with α_k the mean of ∂ logit / ∂ A^k over positions: (N, C, H, W) -> (N, h, w), not enlarged.

    A (N, K, h, w) is the last map of the network, before the pooling that follows. The network is in evaluation mode,
    `target` (N,) are classes. Raises UserError for a network without convolution.
    """
    parts = split_at_map(network, x)
    if parts is None:
        raise UserError("Grad-CAM weights the maps of a convolution, and this network has none: try --method saliency")
    layers, rest = parts
    with torch.no_grad():
        activation = layers(x)
    activation = activation.clone().requires_grad_()
    score = logit(rest, activation.clone(), target)  # of a copy, as the next layer may work in place
    (gradient,) = torch.autograd.grad(score.sum(), activation)
    weights = gradient.mean((-2, -1), keepdim=True)  # α (N, K, 1, 1)
    found: Tensor = (weights * activation).sum(-3).clamp(min=0)
    return found.detach()
