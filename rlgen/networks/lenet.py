"""LeNet-5. LeCun et al. 1998, doi:10.1109/5.726791."""

import torch
from torch import Tensor, nn

from rlgen.core import layers
from rlgen.core.seeds import Conv2d, Linear
from rlgen.networks.base import ConvNet, Layers, flatten, pooled
from rlgen.networks.settings import NetworkSettings

TABLE = [  # maps of S2 from which each map of C3 takes inputs (table I)
    *([i % 6 for i in range(first, first + 3)] for first in range(6)),
    *([i % 6 for i in range(first, first + 4)] for first in range(6)),
    [0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5],
]  # fmt: skip
CODE = 84  # pixels of the images of characters that the outputs are compared with


class LeNet5(ConvNet):
    """LeNet-5 as it is used today: C3 connected to all maps, pooling without weights, a linear output, ReLU.

    Images of 28 pixels are padded to the 32 of the paper, where C5 has one position. `--activation tanh --pooling
    average` is nearer to the paper.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings) -> None:
        make = Layers(settings)
        channels, height, width = shape
        c1, c3, c5, f6 = map(make.width, (6, 16, 120, 84))
        padding = 2 if min(height, width) < 32 else 0
        rows, columns = (_side(side, padding) for side in (height, width))
        body = {
            "C1": make.convolution(channels, c1, 5, padding=padding),
            "S2": make.pool(2, 2),
            "C3": make.convolution(c1, c3, 5, padding=0),
            "S4": make.pool(2, 2),
            "flatten": flatten(),
            "C5": make.linear(c3 * rows * columns, c5),  # a 5x5 convolution of 5x5 maps
            "F6": make.linear(c5, f6),
        }
        super().__init__(body, Linear(f6, classes))


class LeNet5Of1998(ConvNet):
    """LeNet-5 as it was published: sparse C3, pooling with weights, scaled tanh, distances to codes as outputs.

    60,000 weights for grey images. The 84 components of a code are -1 or 1 by chance, which section II.B offers in
    place of images of the characters.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings) -> None:
        channels, height, width = shape
        padding = 2 if min(height, width) < 32 else 0
        rows, columns = (_side(side, padding) for side in (height, width))
        body: dict[str, nn.Module] = {
            "C1": nn.Sequential(Conv2d(channels, 6, 5, padding=padding), ScaledTanh()),
            "S2": nn.Sequential(Subsampling(6), ScaledTanh()),
            "C3": nn.Sequential(SparseConv2d(), ScaledTanh()),
            "S4": nn.Sequential(Subsampling(16), ScaledTanh()),
            "flatten": flatten(),
            "C5": nn.Sequential(Linear(16 * rows * columns, 120), ScaledTanh()),
            "F6": nn.Sequential(Linear(120, CODE), ScaledTanh()),
        }
        super().__init__(body, Distances(classes))

    @torch.no_grad()
    def initialise_as_published(self, settings: NetworkSettings) -> None:
        """Uniform between ±2.4 / F, F the number of inputs of a unit (appendix A)."""
        for layer in self.body.modules():
            if isinstance(layer, SparseConv2d):
                for weight, inputs in zip(layer.weight, layer.fan_in(), strict=True):
                    weight.uniform_(-2.4 / inputs, 2.4 / inputs)
            elif isinstance(layer, Conv2d | Linear):
                bound = 2.4 / layer.weight[0].numel()
                layer.weight.uniform_(-bound, bound)
            if isinstance(layer, Conv2d | Linear) and layer.bias is not None:
                layer.bias.zero_()


class SparseConv2d(Conv2d):
    """C3: 16 maps of 5x5 convolutions, each of 3, 4 or 6 of the 6 maps before: (..., 6, H, W) -> (..., 16, H', W')."""

    place: Tensor

    def __init__(self) -> None:
        super().__init__(6, 16, 5)
        self.weight = nn.Parameter(torch.empty(sum(map(len, TABLE)), 1, 5, 5))  # one per connection of two maps
        connections = torch.tensor([(after, before) for after, row in enumerate(TABLE) for before in row])
        self.register_buffer("place", connections[:, 0] * 6 + connections[:, 1], persistent=False)

    def fan_in(self) -> list[int]:
        """Inputs of a unit of the map that each of the 60 kernels belongs to."""
        return [25 * len(row) for row in TABLE for _ in row]

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        place = self.place if self.place.dim() == 1 else self.place[0]
        dense = weight.new_zeros(16 * 6, 5, 5).index_copy(0, place, weight.squeeze(1))
        maps: Tensor = super()._conv_forward(x, dense.view(16, 6, 5, 5), bias)
        return maps


class Subsampling(nn.Module):
    """Sum of each 2x2 window, times a coefficient, plus a bias, per map: (..., C, H, W) -> (..., C, H / 2, W / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((channels,), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.mean = layers.AvgPool2d(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """a Σ x + b"""
        stacked = self.bias.dim() == 2  # of S networks
        shape = (len(self.bias), *[1] * (x.dim() - 4), -1, 1, 1) if stacked else (-1, 1, 1)
        total: Tensor = 4 * self.mean(x)
        return self.coefficient.view(shape) * total + self.bias.view(shape)


class ScaledTanh(nn.Module):
    """1.7159 tanh(2 x / 3), which is 1 at 1 and -1 at -1."""

    def forward(self, x: Tensor) -> Tensor:
        """1.7159 tanh(2 x / 3)"""
        return 1.7159 * torch.tanh(2 / 3 * x)


class Distances(nn.Module):
    """Euclidean radial basis functions: minus the squared distances to fixed codes, (..., 84) -> (..., K)."""

    codes: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.in_features = CODE
        self.register_buffer("codes", torch.randint(2, (classes, CODE)).float() * 2 - 1)

    def forward(self, x: Tensor) -> Tensor:
        """-Σ (x - code)²"""
        codes = self.codes
        if codes.dim() == 3:  # of S networks
            codes = codes.view(len(codes), *[1] * (x.dim() - 2), *codes.shape[1:])
        return -(x.unsqueeze(-2) - codes).square().sum(-1)


def _side(side: int, padding: int) -> int:
    """Side of the maps of S4."""
    return pooled(pooled(pooled(pooled(side, 5, 1, padding), 2, 2), 5, 1), 2, 2)
