"""Densely connected networks. Huang et al. 2016, arXiv:1608.06993."""

import torch
from torch import Tensor, nn

from rlgen.core.seeds import Conv2d, Linear
from rlgen.networks.base import ConvNet, Layers, flatten
from rlgen.networks.settings import NetworkSettings

BOTTLENECK = 4  # channels of a 1x1 convolution, times the growth


class DenseNet(ConvNet):
    """Blocks in which each layer's input is the outputs of all layers before: channels grow linearly, by k per layer.

    Images of 224 pixels: a 7x7 convolution and pooling first. Small images: a 3x3 convolution. BC: bottlenecks, and
    transitions that halve the channels.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        settings: NetworkSettings,
        growth: int,
        blocks: tuple[int, ...],
        first: int,
        compressed: bool = True,
    ) -> None:
        """`growth` k, layers of each of the `blocks`, channels of the `first` convolution, BC where `compressed`."""
        make = Layers(settings)
        growth, channels = make.width(growth), make.width(first)
        body: dict[str, nn.Module] = {}
        if settings.stem == "image":
            body |= {"conv0": make.convolution(shape[0], channels, 7, 2), "pool0": make.pool(3, 2, 1)}
        else:
            body["conv0"] = Conv2d(shape[0], channels, 3, padding=1, bias=make.biased)
        for i, count in enumerate(blocks):
            if i:
                after = channels // 2 if compressed else channels
                body[f"transition{i}"] = _transition(channels, after, make)
                channels = after
            block = []
            for _ in range(count):
                block.append(DenseLayer(channels, growth, make, compressed))
                channels += growth
            body[f"block{i + 1}"] = nn.Sequential(*block)
        body["features"] = nn.Sequential(*make.after(channels, shared=True), make.global_pool(), flatten())
        super().__init__(body, Linear(channels, classes))


class DenseLayer(nn.Module):
    """Normalisation, activation and convolution to k new channels: (..., C, H, W) -> (..., C + k, H, W).

    With a bottleneck a 1x1 convolution to 4 k channels comes first.
    """

    def __init__(self, before: int, growth: int, make: Layers, bottleneck: bool) -> None:
        super().__init__()
        found: list[nn.Module] = []
        if bottleneck:
            found += [*make.after(before, shared=True), Conv2d(before, BOTTLENECK * growth, 1, bias=make.biased)]
            before = BOTTLENECK * growth
        found += [
            *make.after(before, shared=True),
            Conv2d(before, growth, 3, padding=1, bias=make.biased),
            *make.dropout(),
        ]
        self.layers = nn.Sequential(*found)

    def forward(self, x: Tensor) -> Tensor:
        """[x, H(x)]"""
        return torch.cat([x, self.layers(x)], -3)


def _transition(before: int, after: int, make: Layers) -> nn.Sequential:
    """Normalisation, activation, 1x1 convolution, half the side."""
    return nn.Sequential(
        *make.after(before, shared=True), Conv2d(before, after, 1, bias=make.biased), make.pool(2, 2, own="average")
    )
