"""Signals through a stack of fully connected layers at the start of the training: variance, gradients, dead units.

Glorot & Bengio 2010; He et al. 2015, arXiv:1502.01852. LeCun et al. 1998, "Efficient BackProp", on zero-centred inputs.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rlgen.core.seeds import torch_stream

Activation = Literal["identity", "relu", "leaky", "tanh", "sigmoid"]
Initialization = Literal["small", "large", "xavier", "he", "torch"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": F.relu,
    "leaky": lambda x: F.leaky_relu(x, 0.01),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
VARIANCES: dict[str, Callable[[int], float]] = {  # of a weight of a layer with so many inputs
    "small": lambda inputs: 0.01**2,
    "large": lambda inputs: 1.0,
    "xavier": lambda inputs: 1 / inputs,
    "he": lambda inputs: 2 / inputs,
    "torch": lambda inputs: 1 / (3 * inputs),  # the default of torch.nn.Linear
}
FLAT = 0.05  # slope of a saturated unit, at most, as a share of the steepest slope of its activation
STEEPEST = {"sigmoid": 0.25}  # slope of an activation; of the others 1


def signals(
    seed: int,
    activation: str = "relu",
    init: str = "he",
    depth: int = 20,
    width: int = 256,
    images: int = 512,
    norm: bool = False,
    bias: float = 0.0,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Statistics of `depth` layers of `width` units on standard normal inputs: layer and value, (depth,) each.

    variance: of the outputs of a layer before its activation. mean: of its outputs after it. gradient: root mean
    square of the loss gradient with respect to the outputs before the activation, relative to that of the last layer.
    saturated: share of outputs with a slope below a twentieth of the steepest. dead: share of units with slope 0 on
    all images. same_sign: of the weight gradients of a unit on one image that are not 0, |share of positive - share of
    negative|; 1 where the inputs of the layer have one sign. `norm` normalises each unit over the images, as batch
    normalisation does. `bias` is the initial bias of every unit.
    """
    stream = torch_stream(seed, "signals")
    act = ACTIVATIONS[activation]
    h = torch.randn(images, width, generator=stream, dtype=torch.float64)
    inputs: list[Tensor] = []  # of every layer, (B, width)
    outputs: list[Tensor] = []  # before the activation
    slopes: list[Tensor] = []
    deviation = math.sqrt(VARIANCES[init](width))
    for _ in range(depth):
        inputs.append(h)
        weight = torch.randn(width, width, generator=stream, dtype=torch.float64) * deviation
        z = h.detach() @ weight.T + bias if not outputs else h @ weight.T + bias
        if norm:
            z = (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()
        if not outputs:
            z.requires_grad_()
        z.retain_grad()
        outputs.append(z)
        h = act(z)
        slopes.append(_slope(act, z))
    h.backward(torch.randn(h.shape, generator=stream, dtype=torch.float64) / images)  # type: ignore[no-untyped-call]  # of any loss
    gradients = [z.grad for z in outputs if z.grad is not None]
    last = gradients[-1].square().mean().sqrt().clamp_min(1e-300)
    steepest = STEEPEST.get(activation, 1.0)
    layers = torch.arange(1, depth + 1)
    found = {
        "variance": [z.detach().var() for z in outputs],
        "mean": [act(z.detach()).mean() for z in outputs],
        "gradient": [g.square().mean().sqrt() / last for g in gradients],
        "saturated": [(slope < FLAT * steepest).double().mean() for slope in slopes],
        "dead": [(slope == 0).all(0).double().mean() for slope in slopes],
        "same_sign": [_same_sign(x.detach(), g) for x, g in zip(inputs, gradients, strict=True)],
    }
    return {name: (layers, torch.stack(values)) for name, values in found.items()}


def _slope(act: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """The derivative of the activation at each output, (B, width)."""
    x = z.detach().requires_grad_()
    return torch.autograd.grad(act(x).sum(), x)[0]


def _same_sign(x: Tensor, gradient: Tensor) -> Tensor:
    """Of the weight gradients g_i x_j of unit i on one image: |Σ_j sign(g_i x_j)| / Σ_j |sign(g_i x_j)|, the mean."""
    signs = x[(gradient != 0).any(1)].sign()  # the sign of g_i leaves the ratio as it is
    count = signs.abs().sum(1)
    return (signs.sum(1).abs() / count)[count > 0].mean() if count.any() else torch.zeros((), dtype=x.dtype)
