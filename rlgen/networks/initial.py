"""Initial weights of convolutions and linear layers.

Xavier: Glorot & Bengio 2010; He: He et al. 2015, arXiv:1502.01852; orthogonal: Saxe et al. 2014, arXiv:1312.6120.
"""

import math

import torch
from torch import Tensor, nn

LEAK = 0.1  # slope of `--activation leaky` at negative numbers


@torch.no_grad()
def fill(network: nn.Module, init: str, activation: str = "relu", std: float = 0.01) -> None:
    """Draw the weights of every convolution and linear layer of `network` by the scheme `init`; biases become 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            _fill(module.weight, init, gain(activation), std)
            if module.bias is not None:
                module.bias.zero_()


def gain(activation: str) -> float:
    """The factor on weights that an activation asks of He's scheme: √2 for ReLU, √(2 / (1 + a²)) with a slope a."""
    if activation in ("tanh", "sigmoid", "identity"):
        return 1.0
    return math.sqrt(2 / (1 + LEAK**2)) if activation == "leaky" else math.sqrt(2)


def _fill(weight: Tensor, init: str, gain: float, std: float) -> None:
    """Weights (outputs, inputs, ...) of a layer; fan-in is the number of inputs of one output."""
    if init == "zeros":
        weight.zero_()
    elif init == "gaussian":
        weight.normal_(0, std)
    elif init == "xavier":
        nn.init.xavier_uniform_(weight)
    elif init == "orthogonal":
        nn.init.orthogonal_(weight, gain)
    elif init == "he":
        _he(weight, math.sqrt(2))
    elif init == "identity":
        _he(weight, math.sqrt(2))
        same = min(weight.shape[:2])  # outputs that copy an input; the others stay as they were drawn
        weight[:same] = 0
        centre = tuple(side // 2 for side in weight.shape[2:])
        for i in range(same):
            weight[(i, i, *centre)] = 1
    else:
        raise ValueError(f"no scheme {init!r} of initial weights")


def _he(weight: Tensor, gain: float) -> None:
    weight.normal_(0, gain / math.sqrt(weight[0].numel()))
