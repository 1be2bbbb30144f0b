"""Mode coverage of points: how many modes of a known distribution are generated, and how many points are good.

Srivastava et al. 2017, arXiv:1705.07761: a point is of high quality within three standard deviations of the nearest
mode, and a mode is covered that is the nearest one to such a point.
"""

from dataclasses import dataclass

from torch import Tensor

from rlgen.data.points import Points

DEVIATIONS = 3.0  # standard deviations of the noise, within which a point is of high quality
SAMPLES = 2_500  # points on which coverage is measured, as in the paper


@dataclass(frozen=True)
class Coverage:
    """The coverage of M modes by N points."""

    counts: Tensor  # (M,) points of high quality nearest to each mode
    total: int  # N

    @property
    def modes(self) -> int:
        """Number of covered modes."""
        return int((self.counts > 0).sum())

    @property
    def high_quality(self) -> float:
        """Share of the points that are of high quality."""
        return int(self.counts.sum()) / self.total


def coverage(distribution: Points, points: Tensor) -> Coverage:
    """The coverage of a distribution by points (N, 2)."""
    mode, distance = distribution.nearest(points)
    return Coverage(mode[distance <= DEVIATIONS].bincount(minlength=distribution.modes), len(points))
