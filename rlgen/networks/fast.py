"""A small network of few operations per image: few seconds per pass over the training images on a CPU.

Grey images: strided convolutions in place of pooling. Colour: half the width of airbench94, Jordan 2024,
arXiv:2404.00498, whose first layer whitens 2x2 patches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import vmap

from rlgen.core.seeds import Conv2d, Linear
from rlgen.networks import initial
from rlgen.networks.base import ConvNet, Layers, flatten
from rlgen.networks.settings import NetworkSettings

PATCH = 2  # side of the whitened patches in pixels
WHITENING_IMAGES = 5_000  # whose patches are whitened
GREY = ((16, 5, 2), (32, 3, 2), (64, 3, 1), (64, 3, 2))  # channels, kernel, stride of the convolutions of grey images
COLOUR = (32, 128, 128)  # channels of the stages for colour images
SCALE = 1 / 9  # of the logits for colour images


class Fast(ConvNet):
    """Grey images: convolutions of stride 2. Colour: whitened patches, then three stages with pooling."""

    def __init__(self, shape: tuple[int, int, int], classes: int, settings: NetworkSettings) -> None:
        self.colour = shape[0] > 1
        super().__init__(*(_colour if self.colour else _grey)(shape, classes, settings))

    def prepare(self, images: Tensor) -> None:
        """Whiten the patches of training images (N, C, H, W), where the first layer does."""
        for module in self.modules():
            if isinstance(module, Whitening):
                module.fit(images[:WHITENING_IMAGES])

    def initialise_as_published(self, settings: NetworkSettings) -> None:
        """By He's scheme; for colour images, convolutions copy their inputs as far as they have some."""
        if not self.colour:
            super().initialise_as_published(settings)
            return
        initial.fill(self, "identity")
        assert isinstance(self.head, nn.Sequential)
        initial.fill(self.head, "xavier")


class Whitening(nn.Module):
    """Patches projected on the eigenvectors of their covariance, each scaled to variance 1, and the same negated.

    (..., C, H, W) -> (..., 2 · 4 C, H - 1, W - 1). The directions are computed from training images and then constant;
    only the biases are learned.
    """

    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        features = channels * PATCH**2
        self.register_buffer("weight", torch.zeros(2 * features, channels, PATCH, PATCH))
        with torch.no_grad():
            self.weight[:features].view(features, -1).fill_diagonal_(1.0)  # until `fit`: the pixels themselves
            self.weight[features:] = -self.weight[:features]
        self.bias = nn.Parameter(torch.zeros(2 * features))

    @torch.no_grad()
    def fit(self, images: Tensor, eps: float = 5e-4) -> None:
        """Directions v / √(λ + ε) from the patches of images (N, C, H, W): eigenvectors v, eigenvalues λ."""
        patches = F.unfold(images.float(), PATCH).transpose(0, 1).flatten(1)  # (4 C, number of patches)
        values, vectors = torch.linalg.eigh(patches @ patches.T / patches.shape[1])
        directions = (vectors / (values + eps).sqrt()).T.flip(0).view(-1, *self.weight.shape[-3:])
        self.weight.copy_(torch.cat([directions, -directions]))

    def forward(self, x: Tensor) -> Tensor:
        """The projections of every patch."""
        if self.weight.dim() == 4:
            maps = F.conv2d(x.flatten(0, -4), self.weight, self.bias)
        else:
            maps = vmap(F.conv2d)(x.flatten(1, -4), self.weight, self.bias)
        return maps.view(*x.shape[:-3], *maps.shape[-3:])


class Scaled(nn.Module):
    """x times a constant."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """scale · x"""
        return x * self.scale


def _grey(
    shape: tuple[int, int, int], classes: int, settings: NetworkSettings
) -> tuple[dict[str, nn.Module], nn.Module]:
    """Convolutions of stride 2 and one of stride 1, then the features of all positions."""
    make = Layers(settings.own(activation="relu"))
    channels, height, width = shape
    body: dict[str, nn.Module] = {}
    for i, (after, kernel, stride) in enumerate(GREY):
        body[f"conv{i + 1}"] = make.convolution(channels, make.width(after), kernel, stride)
        channels, height, width = make.width(after), -(-height // stride), -(-width // stride)
    body["features"] = nn.Sequential(flatten(), *make.dropout())
    return body, Linear(channels * height * width, classes)


def _colour(
    shape: tuple[int, int, int], classes: int, settings: NetworkSettings
) -> tuple[dict[str, nn.Module], nn.Module]:
    """Whitened patches, three stages of two 3x3 convolutions, the maximum over positions, logits / 9."""
    make = Layers(settings.own(activation="gelu"))
    channels, side = 2 * shape[0] * PATCH**2, min(shape[1:]) - PATCH + 1
    body: dict[str, nn.Module] = {"whiten": nn.Sequential(Whitening(shape[0]), make.activation())}
    for i, width in enumerate(COLOUR):
        after = make.width(width)
        pool = [make.pool(2, 2)] if side > 1 else []
        body[f"stage{i + 1}"] = nn.Sequential(
            Conv2d(channels, after, 3, padding=1, bias=make.biased), *pool, *make.after(after),
            *make.convolution(after, after, 3),
        )  # fmt: skip
        channels, side = after, side // 2
    body["features"] = nn.Sequential(make.global_pool(own="max"), flatten(), *make.dropout())
    head = nn.Sequential(Linear(channels, classes, bias=False), Scaled(SCALE))
    for module in [m for block in body.values() for m in block.modules()]:
        if isinstance(module, nn.BatchNorm2d):
            module.register_parameter("weight", None)  # without gains
    return body, head
