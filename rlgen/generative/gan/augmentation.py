"""Augmentation of the images of a discriminator, real and generated alike, against overfitting to few images.

DiffAugment: Zhao et al. 2020, arXiv:2006.10738. Adaptive (ADA): Karras et al. 2020, arXiv:2006.06676. Both are
differentiable, as the generator is trained through them. Images are (B, C, H, W) in [0, 1].
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from rlgen.core import processes
from rlgen.core.state import Stateful

ADAPT_INTERVAL = 4  # minibatches between two changes of the probability
TARGET_SIGN = 0.6  # mean sign of the logits of real images that ADA aims at


class NoAugmentation(Stateful):
    """The identity, and the interface of the others."""

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x

    def adapt(self, sign: Tensor) -> None:
        """Adjust the strength to the signs (B,), -1 to 1, of the logits of real images; by default no change."""


class DiffAugment(NoAugmentation):
    """Every image gets another brightness, saturation and contrast, a translation and a cutout. Zhao et al. 2020."""

    def __init__(self, stream: torch.Generator) -> None:
        """`stream` is a CPU generator; the model saves it."""
        self.stream = stream

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); by up to 1/8 of each side translated, at most half of each side cut out."""
        count, _, height, width = x.shape
        brightness, saturation, contrast, down, right, top, left = (
            processes.rows(lambda n: torch.rand(7, n, 1, 1, 1, generator=self.stream), count, 1).to(x.device).unbind()
        )
        x = x + (brightness - 0.5) / 2
        x = x.mean(1, keepdim=True).lerp(x, 2 * saturation)
        x = x.mean((1, 2, 3), keepdim=True).lerp(x, contrast + 0.5)
        x = _translate(x, _symmetric_integers(down, height // 8), _symmetric_integers(right, width // 8))
        y0, x0 = (top * (height + 1)).long() - height // 4, (left * (width + 1)).long() - width // 4
        rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
        i, j = rows - y0.view(-1, 1), columns - x0.view(-1, 1)  # (B, H), (B, W): position relative to the cutout
        cutout = ((i >= 0) & (i < height // 2))[:, :, None] & ((j >= 0) & (j < width // 2))[:, None, :]
        return x * ~cutout[:, None]


class AdaptiveAugment(NoAugmentation):
    """Each transformation with probability p, which grows while the discriminator overfits. Karras et al. 2020.

    p starts at 0 and needs `images` real images to reach 1. The transformations are the paper's best pipeline:
    flips, quarter turns, translation, scale, rotation, anisotropic scale; brightness, contrast, luma flip, hue and
    saturation. All geometric ones are composed to one affine map, all colour ones to another.
    """

    state = ("p", "sign_sum", "batches")

    def __init__(self, stream: torch.Generator, images: int) -> None:
        """`stream` is a CPU generator; the model saves it."""
        self.stream, self.images = stream, images
        self.p = torch.zeros(())
        self.sign_sum = torch.zeros(2)  # sum and number of the signs since the last change of p
        self.batches = 0

    def adapt(self, sign: Tensor) -> None:
        """p ← p + sign(E[sign D(x)] - 0.6) · n / images in [0, 1], every four batches, n images since the last time."""
        self.sign_sum += processes.added(torch.stack([sign.sum(), torch.tensor(len(sign), device=sign.device)])).cpu()
        self.batches += 1
        if self.batches % ADAPT_INTERVAL == 0:
            total, count = self.sign_sum
            self.p = (self.p + torch.sign(total / count - TARGET_SIGN) * count / self.images).clamp(0, 1)
            self.sign_sum = torch.zeros(2)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); the identity where p is 0."""
        if not self.p:
            return x
        affine = self._geometry(len(x))[:, :2].to(x)
        grid = F.affine_grid(affine, list(x.shape), align_corners=False)
        moved = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
        colour = self._colour(len(x), x.shape[1]).to(x)
        return torch.einsum("bdc,bchw->bdhw", colour[:, :, :-1], moved) + colour[:, :, -1, None, None]

    def _geometry(self, count: int) -> Tensor:
        """(B, 3, 3): homogeneous coordinates in the output image to coordinates in the input image, in [-1, 1]."""
        flip = 1 - 2 * self._selected(count) * self._integers(count, 2)
        quarter = self._selected(count) * self._integers(count, 4) * math.pi / 2
        angle = self._selected(count) * (2 * self._uniform(count) - 1) * math.pi
        scale = torch.exp2(0.2 * self._selected(count) * self._normal(count))
        stretch = torch.exp2(0.2 * self._selected(count) * self._normal(count))
        # a standard deviation of 1/8 of the side, whose length is 2
        moved = self._selected(count)[:, None]
        shift = 0.25 * moved * processes.rows(lambda n: torch.randn(n, 2, generator=self.stream), count)
        one, zero = torch.ones(count), torch.zeros(count)
        maps = [
            _matrix([[flip, zero, zero], [zero, one, zero], [zero, zero, one]]),
            _rotation(quarter + angle),
            _matrix([[scale * stretch, zero, zero], [zero, scale / stretch, zero], [zero, zero, one]]),
            _matrix([[one, zero, shift[:, 0]], [zero, one, shift[:, 1]], [zero, zero, one]]),
        ]
        return functools.reduce(torch.matmul, maps)

    def _colour(self, count: int, channels: int) -> Tensor:
        """(B, C, C + 1): each output channel as a linear combination of the input channels, and a constant."""
        brightness = 0.1 * self._selected(count) * self._normal(count)  # 0.2 on the paper's scale [-1, 1]
        contrast = torch.exp2(0.5 * self._selected(count) * self._normal(count))
        linear = contrast[:, None, None] * torch.eye(channels).expand(count, -1, -1)
        if channels == 3:
            luma_axis = torch.full((3, 3), 1 / 3)  # projection on the axis of greys
            luma = 1 - 2 * self._selected(count) * self._integers(count, 2)
            hue = self._selected(count) * (2 * self._uniform(count) - 1) * math.pi
            saturation = torch.exp2(self._selected(count) * self._normal(count))
            off_axis = saturation[:, None, None] * (_hue_rotation(hue) @ (torch.eye(3) - luma_axis))
            linear = linear @ (luma[:, None, None] * luma_axis + off_axis)
        constant = 0.5 * (1 - linear.sum(2)) + brightness[:, None]  # contrast and luma flip keep middle grey
        return torch.cat([linear, constant[:, :, None]], 2)

    def _selected(self, count: int) -> Tensor:
        """(B,) of 1 with probability p, else 0."""
        return (self._uniform(count) < self.p).float()

    def _uniform(self, count: int) -> Tensor:
        return processes.rows(lambda n: torch.rand(n, generator=self.stream), count)

    def _normal(self, count: int) -> Tensor:
        return processes.rows(lambda n: torch.randn(n, generator=self.stream), count)

    def _integers(self, count: int, below: int) -> Tensor:
        return processes.rows(lambda n: torch.randint(below, (n,), generator=self.stream), count).float()


def _symmetric_integers(uniform: Tensor, maximum: int) -> Tensor:
    """Numbers (B, 1, 1, 1) in [0, 1) to integers (B,) from -maximum to maximum."""
    return (uniform.flatten() * (2 * maximum + 1)).long() - maximum


def _translate(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (B, C, H, W) moved by (B,) pixels down and to the right, padded by black."""
    count, _, height, width = x.shape
    rows = torch.arange(height, device=x.device) - down[:, None] + 1  # (B, H), in the padded image
    columns = torch.arange(width, device=x.device) - right[:, None] + 1
    padded = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    image = torch.arange(count, device=x.device)[:, None, None]
    rows, columns = rows.clamp(0, height + 1), columns.clamp(0, width + 1)
    return padded[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    """3 x 3 of (B,) to (B, 3, 3)."""
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _rotation(angle: Tensor) -> Tensor:
    """Rotations of the plane by angles (B,) in radians, in homogeneous coordinates: (B, 3, 3)."""
    c, s, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _matrix([[c, -s, zero], [s, c, zero], [zero, zero, zero + 1]])


def _hue_rotation(angle: Tensor) -> Tensor:
    """Rotations of RGB space about the axis of greys by angles (B,) in radians, by Rodrigues' formula: (B, 3, 3)."""
    axis = torch.full((3,), 3**-0.5)
    cross = torch.tensor([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    s, c = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3) + s * cross + (1 - c) * (cross @ cross)
