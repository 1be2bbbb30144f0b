"""Saliency and guided backpropagation: the gradient of a class's logit with respect to the pixels.

Saliency: Simonyan et al. 2013, arXiv:1312.6034. Guided backpropagation: Springenberg et al. 2014, arXiv:1412.6806.
The gradient is that of the logit: the gradient of a probability vanishes where the network is certain.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rlgen.core.errors import UserError

IN_PLACE = (torch.relu_, Tensor.relu_)
RELUS = (F.relu, torch.relu, Tensor.relu, *IN_PLACE)


def saliency(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """∂ logit of `target` (N,) / ∂ x, signed: normalised images x (N, C, H, W) -> (N, C, H, W).

    The network, (N, C, H, W) -> (N, K), is in evaluation mode.
    """
    x = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(logit(network, x, target).sum(), x)
    return gradient


def guided_backpropagation(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Saliency in which every ReLU passes back positive gradients only: R = 1[h > 0] · max(R', 0). Shapes as above.

    The rule replaces ReLU while the network runs: as a module or a function, in place or not. Hooks on modules, as in
    Captum 0.9, miss functions, and clip the gradient of a shortcut that starts at the input of a ReLU as well.
    Raises UserError for a network without ReLU.
    """
    x = x.detach().clone().requires_grad_()
    with _Guided() as guided:
        score = logit(network, x, target).sum()
    if not guided.count:
        raise UserError("guided backpropagation is defined for ReLU, and this network has none: try --method saliency")
    (gradient,) = torch.autograd.grad(score, x)
    return gradient


def logit(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The scores (N,) of the classes `target` (N,) for images (N, C, H, W), before any softmax."""
    scores: Tensor = network(x)
    return scores.gather(-1, target.unsqueeze(-1)).squeeze(-1)


class _Guided(TorchFunctionMode):
    """Within it, every ReLU is a guided one; `count` of them have run."""

    count = 0

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function not in RELUS:
            return function(*args, **kwargs)
        self.count += 1
        x = args[0] if args else kwargs["input"]
        out = _GuidedReLU.apply(x)  # type: ignore[no-untyped-call]
        in_place = function in IN_PLACE or kwargs.get("inplace") or (function is F.relu and any(args[1:]))
        return x.copy_(out) if in_place else out


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        positive = x > 0
        ctx.save_for_backward(positive)
        return x * positive

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        passed: Tensor = gradients[0].clamp(min=0) * positive
        return passed
