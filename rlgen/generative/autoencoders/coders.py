"""Encoders and decoders of autoencoders: images to vectors and back, fully connected or convolutional."""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlgen.core.errors import DataError

Shape = tuple[int, int, int]  # (C, H, W) of an image
WIDTHS = {"dense": 512, "convolutional": 32}


class EncoderDecoder(nn.Module):
    """An encoder of images to `encoder_outputs`, and a decoder of codes to `outputs` per channel of each pixel."""

    def __init__(
        self,
        network: Literal["dense", "convolutional"],
        shape: Shape,
        encoder_outputs: int,
        latent: int,
        outputs: int,
        width: int | None,
        depth: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        width = width or WIDTHS[network]
        encoder, decoder = (DenseEncoder, DenseDecoder) if network == "dense" else (ConvEncoder, ConvDecoder)
        self.encoder: nn.Module = encoder(shape, encoder_outputs, width, depth, classes)
        self.decoder: nn.Module = decoder(latent, shape, outputs, width, depth, classes)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) -> (B, encoder_outputs) in float32, also under autocast."""
        out: Tensor = self.encoder(x, y)
        return out.float()

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, latent), (B,) -> (B, C, H, W, outputs)."""
        out: Tensor = self.decoder(z, y)
        return out


class DenseEncoder(nn.Module):
    """`depth` hidden layers of `width` features; linear for a depth of 0."""

    def __init__(self, shape: Shape, outputs: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        channels, height, side = shape
        self.classes = classes
        self.layers = _perceptron(channels * height * side + classes, outputs, width, depth)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) -> (B, outputs)."""
        out: Tensor = self.layers(_with_label(x.flatten(1), y, self.classes))
        return out


class DenseDecoder(nn.Module):
    """`depth` hidden layers of `width` features; linear for a depth of 0."""

    def __init__(self, latent: int, shape: Shape, outputs: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        channels, height, side = shape
        self.classes, self.out_shape = classes, (*shape, outputs)
        self.layers = _perceptron(latent + classes, channels * height * side * outputs, width, depth)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, latent), (B,) -> (B, C, H, W, outputs)."""
        out: Tensor = self.layers(_with_label(z, y, self.classes))
        return torch.unflatten(out, 1, self.out_shape)


class ConvEncoder(nn.Module):
    """Two strided convolutions, each of which halves the image, `depth` convolutions of 3x3 and a linear layer."""

    def __init__(self, shape: Shape, outputs: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        channels, height, side = halvable(shape)
        self.classes = classes
        self.shrink = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.ReLU(),
            *conv3x3(depth, 2 * width),
            nn.Flatten(),
        )  # fmt: skip
        self.project = nn.Linear(2 * width * (height // 4) * (side // 4) + classes, outputs)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) -> (B, outputs)."""
        h = self.shrink(x.contiguous(memory_format=torch.channels_last))
        out: Tensor = self.project(_with_label(h, y, self.classes))
        return out


class ConvDecoder(nn.Module):
    """The layers of `ConvEncoder` in reverse order, with transposed convolutions."""

    def __init__(self, latent: int, shape: Shape, outputs: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        channels, height, side = halvable(shape)
        self.classes, self.channels = classes, channels
        self.smallest = (height // 4, side // 4, 2 * width)  # (H, W, C), channels last in memory
        self.project = nn.Linear(latent + classes, 2 * width * (height // 4) * (side // 4))
        self.grow = nn.Sequential(
            nn.ReLU(), *conv3x3(depth, 2 * width),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(width, channels * outputs, 4, stride=2, padding=1),
        )  # fmt: skip

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """(B, latent), (B,) -> (B, C, H, W, outputs)."""
        h = torch.unflatten(self.project(_with_label(z, y, self.classes)), 1, self.smallest)
        out: Tensor = self.grow(h.permute(0, 3, 1, 2))
        return torch.unflatten(out, 1, (self.channels, -1)).movedim(2, -1)


def conv3x3(depth: int, channels: int) -> list[nn.Module]:
    """`depth` convolutions of 3x3 that keep the size, each with a ReLU."""
    return [layer for _ in range(depth) for layer in (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())]


def halvable(shape: Shape) -> Shape:
    """The shape (C, H, W). Raises DataError where a side is not a multiple of 4."""
    if shape[1] % 4 or shape[2] % 4:
        raise DataError(f"images of {shape[2]}x{shape[1]} pixels cannot be halved twice: give a --size, such as 32")
    return shape


def _perceptron(inputs: int, outputs: int, width: int, depth: int) -> nn.Sequential:
    sizes = [inputs, *[width] * depth]
    hidden = (layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU()))
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], outputs))


def _with_label(h: Tensor, y: Tensor | None, classes: int) -> Tensor:
    """(B, F), (B,) -> (B, F + classes): features and the one-hot label, for `classes` above 0."""
    return torch.cat([h, F.one_hot(y, classes).to(h)], 1) if y is not None and classes else h
