"""GoogLeNet: inception modules. Szegedy et al. 2014, arXiv:1409.4842."""

import torch
from torch import Tensor, nn

from rlgen.core import layers
from rlgen.core.seeds import Linear
from rlgen.networks import initial
from rlgen.networks.base import ConvNet, Layers, flatten, pooled
from rlgen.networks.settings import NetworkSettings

# channels of the branches (table 1): 1x1; 1x1 and 3x3; 1x1 and 5x5; 1x1 after pooling
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip
AUXILIARY = ("4a", "4d")  # modules with an auxiliary classifier on their outputs


class GoogLeNet(ConvNet):
    """Nine inception modules, and in training two auxiliary classifiers with a weight of 0.3 each in the loss.

    Local response normalisation is of the first layers, any other normalisation after every convolution. In training
    `auxiliary` holds the logits of the auxiliary classifiers of the last pass. Small images: batch norm, one 3x3
    convolution in place of the first layers, no auxiliary classifiers unless asked for.
    """

    auxiliary_weight = 0.3

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings) -> None:
        image = settings.stem == "image"
        own = settings.own(norm="lrn" if image else "batch", dropout=0.4 if image else 0.0, auxiliary=image)
        make, side = Layers(own.without_lrn()), min(shape[1:])
        if image:
            body, channels = _stem(shape[0], Layers(own)), make.width(192)
            side = pooled(pooled(pooled(side, 7, 2, 3), 3, 2, ceil_mode=True), 3, 2, ceil_mode=True)
        else:
            channels = make.width(192)
            body = {"conv1": Layers(own).convolution(shape[0], channels, 3)}
        auxiliary: dict[str, nn.Module] = {}
        for name, widths in MODULES.items():
            if name in ("4a", "5a"):
                pool = (3, 2, 0, True) if image else (3, 2, 1)
                body[f"pool{int(name[0]) - 1}"] = make.pool(*pool)
                side = pooled(side, *pool)
            body[name] = block = Inception(channels, widths, make, own.factorised)
            channels = block.channels
            if own.auxiliary and name in AUXILIARY:
                auxiliary[name] = _auxiliary(channels, side, classes, make)
        body["features"] = nn.Sequential(make.global_pool(), flatten(), *make.dropout())
        super().__init__(body, Linear(channels, classes))
        self.auxiliary_heads = nn.ModuleDict(auxiliary)

    def features(self, x: Tensor) -> Tensor:
        """Images (..., C, H, W) -> inputs of the head (..., F); in training the auxiliary logits beside them."""
        found = []
        for name, block in self.body.named_children():
            x = block(x)
            if self.training and name in self.auxiliary_heads:
                found.append(self.auxiliary_heads[name](x))
        self.auxiliary = tuple(found)
        return x

    def initialise_as_published(self, settings: NetworkSettings) -> None:
        """By Xavier's scheme in the form without batch norm, on which the paper is silent; else by He's."""
        initial.fill(self, "xavier" if settings.stem == "image" else "he", settings.activation)


class Inception(nn.Module):
    """Four branches side by side, their outputs one after the other: (..., C, H, W) -> (..., C', H, W).

    1x1; 3x3 and 5x5, each after a 1x1 convolution to fewer channels; a 1x1 convolution after 3x3 pooling.
    """

    def __init__(self, before: int, widths: tuple[int, ...], make: Layers, factorised: bool = False) -> None:
        """With `factorised` two 3x3 convolutions in place of the 5x5."""
        super().__init__()
        one, reduce3, three, reduce5, five, pool = map(make.width, widths)
        large = [make.convolution(reduce5, five, 5)]
        if factorised:
            large = [make.convolution(reduce5, five, 3), make.convolution(five, five, 3)]
        self.branches = nn.ModuleList(
            [
                make.convolution(before, one, 1),
                nn.Sequential(make.convolution(before, reduce3, 1), make.convolution(reduce3, three, 3)),
                nn.Sequential(make.convolution(before, reduce5, 1), *large),
                nn.Sequential(make.pool(3, 1, 1), make.convolution(before, pool, 1)),
            ]
        )
        self.channels = one + three + five + pool

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of all branches."""
        return torch.cat([branch(x) for branch in self.branches], -3)


def _stem(channels: int, make: Layers) -> dict[str, nn.Module]:
    """The layers before the first module: to an eighth of the side and 192 channels."""
    first, second = make.width(64), make.width(192)
    lrn = make.settings.norm == "lrn"
    rest = Layers(make.settings.without_lrn())
    norm: list[nn.Module] = [layers.LocalResponseNorm()] if lrn else []
    return {
        "conv1": rest.convolution(channels, first, 7, 2),
        "pool1": nn.Sequential(make.pool(3, 2, ceil_mode=True), *norm),
        "conv2": nn.Sequential(rest.convolution(first, first, 1), make.convolution(first, second, 3)),
        "pool2": make.pool(3, 2, ceil_mode=True),
    }


def _auxiliary(channels: int, side: int, classes: int, make: Layers) -> nn.Sequential:
    """Mean of 5x5 windows, 1x1 convolution to 128 channels, 1,024 units, dropout 0.7, logits."""
    kernel = min(5, side)
    narrow, units, side = make.width(128), make.width(1024), pooled(side, kernel, 3)
    return nn.Sequential(
        layers.AvgPool2d(kernel, 3), make.convolution(channels, narrow, 1), flatten(),
        Linear(narrow * side**2, units), make.activation(), layers.Dropout(0.7), Linear(units, classes),
    )  # fmt: skip
