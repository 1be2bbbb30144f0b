"""Show the discriminator changed images, real and generated alike, so that few images do not make it certain.

DiffAugment: Zhao et al. 2020, arXiv:2006.10738. Adaptive: Karras et al. 2020, arXiv:2006.06676. All of it is
differentiable, for the generator learns through it; images are (B, C, H, W) in [0, 1].
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from rlgen.core.state import Stateful

EVERY = 4  # batches between two looks at how certain the discriminator is
TARGET = 0.6  # of the mean sign of the logits of real images, the paper's


class Unchanged(Stateful):
    """Images as they are."""

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        return x

    def listen(self, sign: Tensor) -> None:
        """Take note of the signs (B,) of the logits of real images, 1 or -1."""


class DiffAugment(Unchanged):
    """Colour, a shift and a hole, always and on every image. Zhao et al. 2020."""

    def __init__(self, stream: torch.Generator) -> None:
        self.stream = stream  # on the CPU; the model saves it

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> changed images of that shape."""
        count, _, height, width = x.shape
        brightness, saturation, contrast, down, right, top, left = (
            torch.rand(7, count, 1, 1, 1, generator=self.stream).to(x.device).unbind()
        )
        x = x + (brightness - 0.5) / 2
        x = x.mean(1, keepdim=True).lerp(x, 2 * saturation)
        x = x.mean((1, 2, 3), keepdim=True).lerp(x, contrast + 0.5)
        rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
        x = _shifted(x, _steps(down, height // 8), _steps(right, width // 8))
        y0, x0 = (top * (height + 1)).long() - height // 4, (left * (width + 1)).long() - width // 4
        inside_y, inside_x = rows - y0.view(-1, 1), columns - x0.view(-1, 1)  # (B, H), (B, W)
        hole = ((inside_y >= 0) & (inside_y < height // 2))[:, :, None] & ((inside_x >= 0) & (inside_x < width // 2))[
            :, None, :
        ]
        return x * ~hole[:, None]


class Adaptive(Unchanged):
    """Each change with a probability that rises while the discriminator is too certain of real images.

    Every four batches p grows or shrinks so that it could go from 0 to 1 in `images` images. Changes are those the
    paper found to matter: flips, quarter turns, shifts; scale, rotation, stretch; brightness, contrast, and of colours
    luma flip, hue and saturation. All that moves pixels is one affine map, all that colours them another.
    """

    state = ("p", "heard", "batches")

    def __init__(self, stream: torch.Generator, images: int) -> None:
        self.stream, self.images = stream, images
        self.p = torch.zeros(())
        self.heard = torch.zeros(2)  # sum of the signs since the last look, and how many they are
        self.batches = 0

    def listen(self, sign: Tensor) -> None:
        """p ← p + sign(E[sign D(x)] - 0.6) · images seen since the last look / `images`, within [0, 1]."""
        self.heard += torch.stack([sign.sum(), torch.tensor(len(sign), device=sign.device)]).cpu()
        self.batches += 1
        if self.batches % EVERY == 0:
            total, count = self.heard
            self.p = (self.p + torch.sign(total / count - TARGET) * count / self.images).clamp(0, 1)
            self.heard = torch.zeros(2)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> changed images of that shape; the same where p is 0."""
        if not self.p:
            return x
        moved = F.grid_sample(
            x, F.affine_grid(self._places(len(x))[:, :2].to(x), list(x.shape), align_corners=False),
            padding_mode="reflection", align_corners=False,
        )  # fmt: skip
        colour = self._colours(len(x), x.shape[1]).to(x)  # (B, C, C + 1)
        return torch.einsum("bdc,bchw->bdhw", colour[:, :, :-1], moved) + colour[:, :, -1, None, None]

    def _places(self, count: int) -> Tensor:
        """(B, 3, 3): where each place of the new image is looked up in the old one, in [-1, 1]."""
        flip = 1 - 2 * self._pick(count) * self._integers(count, 2)
        quarter = self._pick(count) * self._integers(count, 4) * math.pi / 2
        angle = self._pick(count) * (2 * self._uniform(count) - 1) * math.pi
        zoom = torch.exp2(0.2 * self._pick(count) * self._normal(count))
        stretch = torch.exp2(0.2 * self._pick(count) * self._normal(count))
        shift = self._pick(count)[:, None] * 0.25 * torch.randn(count, 2, generator=self.stream)  # an eighth, of 2
        one, none = torch.ones(count), torch.zeros(count)
        maps = [
            _matrix([[flip, none, none], [none, one, none], [none, none, one]]),
            _turn(quarter + angle),
            _matrix([[zoom * stretch, none, none], [none, zoom / stretch, none], [none, none, one]]),
            _matrix([[one, none, shift[:, 0]], [none, one, shift[:, 1]], [none, none, one]]),
        ]
        return functools.reduce(torch.matmul, maps)

    def _colours(self, count: int, channels: int) -> Tensor:
        """(B, C, C + 1): each new channel as a sum of the old ones and a constant."""
        brightness = 0.1 * self._pick(count) * self._normal(count)  # 0.2 on the paper's [-1, 1]
        contrast = torch.exp2(0.5 * self._pick(count) * self._normal(count))
        linear = contrast[:, None, None] * torch.eye(channels).expand(count, -1, -1)
        if channels == 3:
            grey = torch.full((3, 3), 1 / 3)  # the part along the luma axis
            luma = 1 - 2 * self._pick(count) * self._integers(count, 2)
            hue = self._pick(count) * (2 * self._uniform(count) - 1) * math.pi
            saturation = torch.exp2(self._pick(count) * self._normal(count))
            off_axis = saturation[:, None, None] * (_spin(hue) @ (torch.eye(3) - grey))
            linear = linear @ (luma[:, None, None] * grey + off_axis)
        middle = 0.5 * (1 - linear.sum(2)) + brightness[:, None]  # contrast and flips leave middle grey where it is
        return torch.cat([linear, middle[:, :, None]], 2)

    def _pick(self, count: int) -> Tensor:
        """(B,) of 1 with probability p, else 0."""
        return (self._uniform(count) < self.p).float()

    def _uniform(self, count: int) -> Tensor:
        return torch.rand(count, generator=self.stream)

    def _normal(self, count: int) -> Tensor:
        return torch.randn(count, generator=self.stream)

    def _integers(self, count: int, below: int) -> Tensor:
        return torch.randint(below, (count,), generator=self.stream).float()


def _steps(uniform: Tensor, most: int) -> Tensor:
    """(B, 1, 1, 1) in [0, 1) to whole numbers (B,) from -most to most."""
    return (uniform.flatten() * (2 * most + 1)).long() - most


def _shifted(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (B, C, H, W) moved by (B,) pixels each way, black where nothing comes from."""
    count, _, height, width = x.shape
    rows = torch.arange(height, device=x.device) - down[:, None] + 1  # (B, H), in an image with a black rim
    columns = torch.arange(width, device=x.device) - right[:, None] + 1
    rimmed = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    image = torch.arange(count, device=x.device)[:, None, None]
    rows, columns = rows.clamp(0, height + 1), columns.clamp(0, width + 1)
    return rimmed[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    """3 x 3 of (B,) to (B, 3, 3)."""
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _turn(angle: Tensor) -> Tensor:
    c, s, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _matrix([[c, -s, none], [s, c, none], [none, none, none + 1]])


def _spin(angle: Tensor) -> Tensor:
    """(B, 3, 3) rotations about the axis of greys (Rodrigues)."""
    axis = torch.full((3,), 3**-0.5)
    cross = torch.tensor([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    s, c = angle.sin()[:, None, None], angle.cos()[:, None, None]
    return torch.eye(3) + s * cross + (1 - c) * (cross @ cross)
