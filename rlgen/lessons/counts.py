"""Counts that need no training: weights, multiply-adds, activations and receptive fields of networks and layers."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rlgen import networks
from rlgen.networks.settings import NetworkSettings


def network(
    seed: int, network: str = "vgg16", size: int = 224, channels: int = 3, classes: int = 1000, **settings: Any
) -> dict[str, Any]:
    """Counts of a network for images of `size` pixels; further options are those of `rlgen classify`.

    parameters: weights and biases. linear: parameters of its fully connected layers. linear_layers: their number.
    gmac, million: multiply-adds per image, in 10⁹ and 10⁶. activations: numbers in the image and the outputs of
    convolutions, pooling and fully connected layers. channels: inputs of its 1x1 convolutions, in order.
    """
    with torch.device("meta"):
        built = networks.build(network, (channels, size, size), classes, NetworkSettings(network=network, **settings))
    built.eval()
    counted = _Counter(built)
    with torch.no_grad():
        built(torch.zeros(1, channels, size, size, device="meta"))
    linear = [module for module in built.modules() if isinstance(module, nn.Linear)]
    narrow = [m.in_channels for m in built.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    return {
        "parameters": sum(p.numel() for p in built.parameters()),
        "linear": sum(p.numel() for module in linear for p in module.parameters()),
        "linear_layers": len(linear),
        "gmac": counted.products / 1e9,
        "million": counted.products / 1e6,
        "activations": counted.outputs + channels * size**2,
        **({"channels": narrow} if narrow else {}),
    }


def convolutions(
    seed: int, branches: Sequence[Sequence[Sequence[int]]] = (((64, 64, 3),),), size: int = 28, bias: bool = False
) -> dict[str, float]:
    """Counts of parallel branches of convolutions at stride 1, each [inputs, outputs, side], on maps of `size` pixels.

    parameters: weights, and biases with `bias`. mmac: multiply-adds per image, in 10⁶. field: the side of the largest
    receptive field in pixels, measured by gradients.
    """
    built = [
        nn.Sequential(*(nn.Conv2d(before, after, side, padding=side // 2, bias=bias) for before, after, side in branch))
        for branch in branches
    ]
    counters = [_Counter(branch) for branch in built]
    fields = [_field(branch, size) for branch in built]
    return {
        "parameters": sum(p.numel() for branch in built for p in branch.parameters()),
        "mmac": sum(counter.products for counter in counters) / 1e6,
        "field": max(fields),
    }


class _Counter:
    """Adds up multiply-adds and outputs of the layers of a network in its forward pass on one image."""

    def __init__(self, network: nn.Module) -> None:
        self.products = self.outputs = 0
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
                module.register_forward_hook(self._count)

    def _count(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.outputs += output.numel()
        if isinstance(module, nn.Conv2d):
            self.products += output.numel() * module.in_channels // module.groups * math.prod(module.kernel_size)
        elif isinstance(module, nn.Linear):
            self.products += output.numel() * module.in_features


def _field(branch: nn.Sequential, size: int) -> int:
    """The side of the square of pixels with an influence on the centre of the output."""
    first = branch[0]
    assert isinstance(first, nn.Conv2d)
    x = torch.zeros(1, first.in_channels, size, size, requires_grad=True)
    branch(x)[0, :, size // 2, size // 2].sum().backward()
    assert x.grad is not None
    return int((x.grad[0].abs().sum((0, 1)) > 0).sum())
