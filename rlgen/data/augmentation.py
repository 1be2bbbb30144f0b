"""Random changes of training images that leave their classes as they are, drawn for each image by itself.

Crops of padded images and mirror images: He et al. 2015, arXiv:1512.03385. Cutout: DeVries & Taylor 2017,
arXiv:1708.04552. Mixup: Zhang et al. 2018, arXiv:1710.09412. Imports no torch before images are changed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import radians
from typing import TYPE_CHECKING

from rlgen.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from torch import Generator, Tensor

SHIFT = 2 / 28  # largest shift, as a share of the side: 2 of 28 pixels
CROP = 4 / 32  # padding on each side before a crop, as a share of the side: 4 of 32 pixels
ANGLE = 15.0  # largest rotation to either side, degrees
CUTOUT = 1 / 4  # side of the square that is erased, as a share of the side of the image
NOISE = 0.05  # standard deviation of the noise on a pixel in [0, 1]

AUGMENTATIONS = {  # in the order in which they are applied
    "shift": "by up to 2 pixels of 28, the border mirrored",
    "crop": "of the image with a black border of 4 pixels of 32",
    "rotate": "by up to 15 degrees to either side",
    "flip": "left to right, half of the images",
    "cutout": "a square of a quarter of the side, filled with the mean colour of the image",
    "noise": "normal, with a standard deviation of 0.05 of the range of a pixel",
    "mixup": "a weighted mean with another image of the minibatch, and of the two losses",
}


def parse(names: str) -> tuple[str, ...]:
    """`"flip,shift"` as a tuple in the order of application; empty for "none" or "". Raises UserError."""
    given = [name.strip().lower() for name in names.split(",") if name.strip()]
    if given == ["none"]:
        return ()
    for name in given:
        if name not in AUGMENTATIONS:
            choices = ", ".join(AUGMENTATIONS)
            raise UserError(
                f'no augmentation "{name}"{did_you_mean(name, AUGMENTATIONS) or f": choose among {choices}"}'
            )
    return tuple(name for name in AUGMENTATIONS if name in given)


class Augmentation:
    """The augmentations `names`, applied to minibatches of training images. Lengths are scaled to the image."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = parse(",".join(names))
        self.steps = [STEPS[name] for name in self.names if name != "mixup"]

    def __call__(self, x: Tensor, y: Tensor, generator: Generator) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Images (..., B, C, H, W) in [0, 1] with a draw for each; and with mixup the other labels and their weights.

        `y` has the shape (..., B). An image is mixed with another of the same B only, so that members of an ensemble
        see no training images of each other. With mixup the second result is (y2, share), both (..., B), and the
        loss is (1 - share)·loss(y) + share·loss(y2); otherwise it is None. The draws come from `generator`.
        """
        shape = x.shape
        x = x.reshape(-1, *shape[-3:])
        for step in self.steps:
            x = step(x, generator)
        x = x.view(shape)
        return mixup(x, y, generator) if "mixup" in self.names else (x, None)


def shift(x: Tensor, generator: Generator) -> Tensor:
    """Images (N, C, H, W), each moved by whole pixels; what moves in is the image mirrored at its border."""
    return _windows(x, _pixels(x, SHIFT), "reflect", generator)


def crop(x: Tensor, generator: Generator) -> Tensor:
    """Images (N, C, H, W), each a window of its image with a black border."""
    return _windows(x, _pixels(x, CROP), "constant", generator)


def flip(x: Tensor, generator: Generator) -> Tensor:
    """Images (N, C, H, W), each mirrored left to right with a probability of 1/2."""
    import torch

    return torch.where((_uniform(x, generator) < 0.5)[:, None, None, None], x.flip(-1), x)


def rotate(x: Tensor, generator: Generator) -> Tensor:
    """Images (N, C, H, W), each turned about its centre with bilinear interpolation, the border mirrored."""
    import torch
    import torch.nn.functional as F

    angle = radians(ANGLE) * (2 * _uniform(x, generator) - 1)
    cos, sin, none, ratio = angle.cos(), angle.sin(), torch.zeros_like(angle), x.shape[-2] / x.shape[-1]
    turn = torch.stack([cos, -sin * ratio, none, sin / ratio, cos, none], 1).view(-1, 2, 3)
    grid = F.affine_grid(turn, list(x.shape), align_corners=False).to(x.dtype)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def cutout(x: Tensor, generator: Generator) -> Tensor:
    """Images (N, C, H, W), each with a square around a random pixel in its mean colour, cut off at the border."""
    import torch

    side, inside = _pixels(x, CUTOUT), []
    for length in x.shape[-2:]:
        place = torch.arange(length, device=x.device) - (_uniform(x, generator) * length).long()[:, None] + side // 2
        inside.append((place >= 0) & (place < side))  # (N, length)
    square = (inside[0][:, :, None] & inside[1][:, None, :])[:, None]  # (N, 1, H, W)
    return torch.where(square, x.mean((2, 3), keepdim=True), x)


def noise(x: Tensor, generator: Generator) -> Tensor:
    """Images (N, C, H, W) with independent normal noise on each value, clipped to [0, 1]."""
    import torch

    drawn = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype)
    return (x + NOISE * drawn.to(x.device)).clamp_(0, 1)


def mixup(x: Tensor, y: Tensor, generator: Generator) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """x = (1 - share)·x + share·x2 for images (..., B, C, H, W) and labels (..., B), with (y2, share).

    `share` is uniform in [0, 1): Beta(1, 1), as Zhang et al. take for CIFAR-10.
    """
    import torch

    order = torch.rand(y.shape, generator=generator, device=generator.device).argsort(-1).to(y.device)  # (..., B)
    share = torch.rand(y.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)
    other = x.gather(order.dim() - 1, order[..., None, None, None].expand_as(x))
    return torch.lerp(x, other, share[..., None, None, None]), (y.gather(-1, order), share)


def _windows(x: Tensor, margin: int, border: str, generator: Generator) -> Tensor:
    """(N, C, H, W) with `margin` pixels added on each side, and of each image a window of the former size."""
    import torch
    import torch.nn.functional as F

    height, width = x.shape[-2:]
    padded = F.pad(x, (margin,) * 4, mode=border)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (N, C, 2 margin + 1, 2 margin + 1, H, W)
    top, left = torch.randint(0, 2 * margin + 1, (2, len(x)), generator=generator, device=generator.device)
    return windows[torch.arange(len(x), device=x.device), :, top.to(x.device), left.to(x.device)]


def _pixels(x: Tensor, share: float) -> int:
    """A share of the shorter side of images (N, C, H, W) in whole pixels, at least 1."""
    return max(1, round(share * min(x.shape[-2:])))


def _uniform(x: Tensor, generator: Generator) -> Tensor:
    """A number in [0, 1) for each of N images."""
    import torch

    return torch.rand(len(x), generator=generator, device=generator.device, dtype=x.dtype).to(x.device)


STEPS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "shift": shift, "crop": crop, "rotate": rotate, "flip": flip, "cutout": cutout, "noise": noise,
}  # fmt: skip
