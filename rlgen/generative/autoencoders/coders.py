"""Encoders and decoders: an image to a few numbers, and back."""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core.errors import DataError

Shape = tuple[int, int, int]  # (C, H, W) of an image
WIDTHS = {"dense": 512, "convolutional": 32}


class EncoderDecoder(nn.Module):
    """An encoder of images to `encoded` numbers, and a decoder of `latent` numbers to `predicted` ones per colour."""

    def __init__(
        self,
        network: Literal["dense", "convolutional"],
        shape: Shape,
        encoded: int,
        latent: int,
        predicted: int,
        width: int | None,
        depth: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        width = width or WIDTHS[network]
        to, back = (DenseEncoder, DenseDecoder) if network == "dense" else (ConvEncoder, ConvDecoder)
        self.encoder: nn.Module = to(shape, encoded, width, depth, classes)
        self.decoder: nn.Module = back(latent, shape, predicted, width, depth, classes)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) -> (B, encoded), in float32 whatever it was computed in."""
        out: Tensor = self.encoder(x, y)
        return out.float()

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, latent), (B,) -> (B, C, H, W, predicted)."""
        out: Tensor = self.decoder(z, y)
        return out


class DenseEncoder(nn.Module):
    """Fully connected; without hidden layers it is linear."""

    def __init__(self, shape: Shape, outputs: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        channels, height, side = shape
        self.classes = classes
        self.layers = _layers(channels * height * side + classes, outputs, width, depth)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) -> (B, outputs)."""
        out: Tensor = self.layers(_with_label(x.flatten(1), y, self.classes))
        return out


class DenseDecoder(nn.Module):
    """The way back of `DenseEncoder`."""

    def __init__(self, latent: int, shape: Shape, predicted: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        channels, height, side = shape
        self.classes, self.into = classes, (*shape, predicted)
        self.layers = _layers(latent + classes, channels * height * side * predicted, width, depth)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, latent), (B,) -> (B, C, H, W, predicted)."""
        out: Tensor = self.layers(_with_label(z, y, self.classes))
        return torch.unflatten(out, 1, self.into)


class ConvEncoder(nn.Module):
    """Halved twice by strided convolutions, then `depth` more of them, then linear."""

    def __init__(self, shape: Shape, outputs: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        channels, height, side = halvable(shape)
        self.classes = classes
        self.shrink = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.ReLU(),
            *three_by_three(depth, 2 * width),
            nn.Flatten(),
        )  # fmt: skip
        self.project = nn.Linear(2 * width * (height // 4) * (side // 4) + classes, outputs)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) -> (B, outputs)."""
        h = self.shrink(x.contiguous(memory_format=torch.channels_last))
        out: Tensor = self.project(_with_label(h, y, self.classes))
        return out


class ConvDecoder(nn.Module):
    """The way back of `ConvEncoder`."""

    def __init__(self, latent: int, shape: Shape, predicted: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        channels, height, side = halvable(shape)
        self.classes, self.channels, self.corner = classes, channels, (height // 4, side // 4, 2 * width)
        self.project = nn.Linear(latent + classes, 2 * width * (height // 4) * (side // 4))
        self.grow = nn.Sequential(
            nn.ReLU(), *three_by_three(depth, 2 * width),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(width, channels * predicted, 4, stride=2, padding=1),
        )  # fmt: skip

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, latent), (B,) -> (B, C, H, W, predicted)."""
        h = torch.unflatten(self.project(_with_label(z, y, self.classes)), 1, self.corner).permute(
            0, 3, 1, 2
        )  # channels last
        out: Tensor = self.grow(h)
        return torch.unflatten(out, 1, (self.channels, -1)).movedim(2, -1)


def _layers(inputs: int, outputs: int, width: int, depth: int) -> nn.Sequential:
    """`depth` hidden layers and a linear one."""
    sizes = [inputs, *[width] * depth]
    hidden = (part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU()))
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))


def three_by_three(depth: int, channels: int) -> list[nn.Module]:
    """`depth` convolutions of three by three that keep the size."""
    return [part for _ in range(depth) for part in (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())]


def _with_label(h: Tensor, y: Tensor | None, classes: int) -> Tensor:
    """(B, F) with the label beside it."""
    return torch.cat([h, F.one_hot(y, classes).to(h)], 1) if y is not None and classes else h


def halvable(shape: Shape) -> Shape:
    """The shape, if each side is a multiple of 4. Raises DataError where it is not."""
    if shape[1] % 4 or shape[2] % 4:
        raise DataError(f"images of {shape[2]}x{shape[1]} pixels cannot be halved twice: give a --size, such as 32")
    return shape
