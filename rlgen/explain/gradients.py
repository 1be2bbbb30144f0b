"""Saliency and guided backpropagation: the gradient of a class's logit with respect to the pixels.

Saliency: Simonyan et al. 2013, arXiv:1312.6034. Guided backpropagation: Springenberg et al. 2014, arXiv:1412.6806.
The gradient is that of the logit: the gradient of a probability vanishes where the network is certain.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from rlgen.core.errors import UserError

RELU = "ReluBackward0"  # node of the autograd graph of every ReLU: module or function, in place or not


def saliency(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """∂ logit of `target` (N,) / ∂ x, signed: normalised images x (N, C, H, W) -> (N, C, H, W).

    The network, (N, C, H, W) -> (N, K), is in evaluation mode.
    """
    x = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(logit(network, x, target).sum(), x)
    return gradient


def guided_backpropagation(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Saliency in which every ReLU passes back positive gradients only: R = 1[h > 0] · max(R', 0). Shapes as above.

    The rule is attached to the nodes of this one autograd graph, not to modules. Captum 0.9 attaches it to modules,
    where it misses functional ReLUs, and clips the gradient of a shortcut that starts at a ReLU's input.
    Raises UserError for a network without ReLU.
    """
    x = x.detach().clone().requires_grad_()
    score = logit(network, x, target).sum()
    relus = [node for node in _nodes(score.grad_fn) if node.name() == RELU]
    if not relus:
        raise UserError("guided backpropagation is defined for ReLU, and this network has none: try --method saliency")
    for node in relus:
        node.register_hook(_positive)
    (gradient,) = torch.autograd.grad(score, x)
    return gradient


def logit(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The scores (N,) of the classes `target` (N,) for images (N, C, H, W), before any softmax."""
    scores: Tensor = network(x)
    return scores.gather(-1, target.unsqueeze(-1)).squeeze(-1)


def _positive(gradients: tuple[Tensor, ...], _: tuple[Tensor, ...]) -> tuple[Tensor]:
    """The gradient with respect to the input of a ReLU, its negative part removed."""
    return (gradients[0].clamp(min=0),)


def _nodes(root: Any) -> Iterator[Any]:
    """Every node of an autograd graph once."""
    found, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        yield node
        for following, _ in node.next_functions:
            if following is not None and following not in found:
                found.add(following)
                waiting.append(following)
