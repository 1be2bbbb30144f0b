"""Points in two dimensions, drawn, not downloaded: a ring or a grid of Gaussians, and a spiral.

The distributions of the literature on GANs, each divided by a constant so that a coordinate has a standard deviation of
about 1. Ring: eight Gaussians of standard deviation 0.02 on a circle of radius 2, Metz et al. 2016, arXiv:1611.02163.
Grid: 25 Gaussians of standard deviation 0.05, 2 apart, and spiral: the Swiss roll with noise of 0.25, both as in
Gulrajani et al. 2017, arXiv:1704.00028; the grid also in Srivastava et al. 2017, arXiv:1705.07761.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlgen.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

NAMES = {
    "ring": "60,000 points in two dimensions, eight Gaussians on a ring; drawn, for GANs",
    "grid": "60,000 points in two dimensions, 25 Gaussians on a grid; drawn, for GANs",
    "spiral": "60,000 points in two dimensions, on a spiral of two turns; drawn, for GANs",
}
COUNTS = {"train": 50_000, "test": 10_000}
SCALE = {"ring": 2**0.5, "grid": 8**0.5, "spiral": 7.5}  # by which the points of the literature are divided
RADIUS, RING, RING_STD = 2.0, 8, 0.02
SPACING, SIDE, GRID_STD = 2.0, 5, 0.05
SECTIONS, SPIRAL_STD = 32, 0.25  # sections of the spiral of equal probability, each a mode
TURNS = (1.5 * math.pi, 4.5 * math.pi)  # angles at which the spiral begins and ends, in radians
VERTICES = 4_096  # of the spiral, to which distances are measured: a multiple of the sections
CHUNK_SIZE = 1_000  # points whose distances are computed at once, to bound the memory


@dataclass(frozen=True)
class Points:
    """A distribution in the plane with M modes, and the points of its splits."""

    name: str
    line: Tensor  # (V, 2) centres of the modes, or vertices along a line
    mode: Tensor  # (V,) the mode of each
    std: float  # of the noise around a centre or the line, per coordinate

    @property
    def modes(self) -> int:
        """M, the number of modes."""
        return int(self.mode.max()) + 1

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the modes where these are the components of a mixture; none of sections of a line."""
        return tuple(map(str, range(self.modes))) if len(self.line) == self.modes else ()

    def draw(self, split: str) -> tuple[Tensor, Tensor]:
        """The points (N, 2) float32 of a split and their modes (N,), the same ones each time."""
        import torch

        stream = torch.Generator().manual_seed(0 if split == "train" else 1)
        index = torch.randint(len(self.line), (COUNTS[split],), generator=stream)
        noise = torch.randn(COUNTS[split], 2, generator=stream)
        return self.line[index] + self.std * noise, self.mode[index]

    def nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest mode (N,) of points (N, 2), and its distance (N,) in standard deviations of the noise."""
        import torch

        found = [torch.cdist(chunk.double(), self.line.double()).min(1) for chunk in torch.split(points, CHUNK_SIZE)]
        index = torch.cat([part.indices for part in found])
        return self.mode[index], torch.cat([part.values for part in found]) / self.std


def load(name: str) -> Points:
    """The distribution of this name, a key of `NAMES`."""
    import torch

    if name == "ring":
        angle = torch.arange(RING) * (2 * math.pi / RING)
        line, mode, std = RADIUS * torch.stack([angle.cos(), angle.sin()], 1), torch.arange(RING), RING_STD
    elif name == "grid":
        axis = SPACING * (torch.arange(SIDE) - SIDE // 2).float()
        line, mode, std = torch.cartesian_prod(axis, axis), torch.arange(SIDE**2), GRID_STD
    else:
        t = torch.linspace(*TURNS, VERTICES)
        line, mode = torch.stack([t * t.cos(), t * t.sin()], 1), torch.arange(VERTICES) // (VERTICES // SECTIONS)
        std = SPIRAL_STD
    return Points(name, line / SCALE[name], mode, std / SCALE[name])


def refuse(name: str) -> None:
    """Raise UserError where the name is that of points: what calls this takes images."""
    if name in NAMES:
        raise UserError(f"{name} holds points in two dimensions, and no images: `rlgen gan {name}` trains on them")
