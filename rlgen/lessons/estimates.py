"""A measured number with its 95 % interval over seeds: Student's t. Student 1908, doi:10.1093/biomet/6.1.1."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVEL = 0.95  # probability that the interval contains the mean


@dataclass(frozen=True)
class Estimate:
    """One number per seed, (S,), NaN where a run diverged; `exact` numbers depend on no seed.

    Of a logarithmic estimate mean and interval are those of the logarithms: a geometric mean.
    """

    values: Floats
    exact: bool = False
    log: bool = False

    @property
    def mean(self) -> float:
        """The mean over seeds; NaN where a run diverged."""
        return float(band(self.values[None], log=self.log)[0][0])

    @property
    def half(self) -> float:
        """Half of the interval: t · s / √S. Infinite for a single seed, 0 for an exact number."""
        if self.exact:
            return 0.0
        if len(self.values) < 2:
            return math.inf
        return (self.high - self.low) / 2

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self._end(1, -math.inf)

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self._end(2, math.inf)

    def _end(self, which: int, without: float) -> float:
        if self.exact:
            return self.mean
        return float(band(self.values[None], log=self.log)[which][0]) if len(self.values) > 1 else without

    @property
    def diverged(self) -> int:
        """Number of seeds without a number."""
        return int(np.isnan(self.values).sum())

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The difference seed by seed, or to an exact number."""
        return self._with(other, np.subtract)

    def __truediv__(self, other: "Estimate") -> "Estimate":
        """The ratio seed by seed, or to an exact number."""
        return self._with(other, np.divide)

    def _with(self, other: "Estimate", operation: np.ufunc) -> "Estimate":
        first, second = (side.values[:1] if side.exact else side.values for side in (self, other))
        if not (self.exact or other.exact):  # an experiment may have fewer seeds than another
            count = min(len(first), len(second))
            first, second = first[:count], second[:count]
        with np.errstate(divide="ignore", invalid="ignore"):
            changed = operation(first, second)
        return Estimate(changed, self.exact and other.exact, operation is np.divide and self.log)

    def side(self, than: float) -> int:
        """1 or -1 where the whole interval is above or below `than`, 0 where it contains it or a run diverged."""
        if self.low > than:
            return 1
        return -1 if self.high < than else 0


def quantile(freedom: int, level: float = LEVEL) -> float:
    """The number t with P(|T| < t) = `level` for Student's T with so many degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


def band(curves: Floats, *, log: bool = False) -> tuple[Floats, Floats, Floats]:
    """Mean, low and high (P,) of curves (P, S); the ends equal the mean for a single seed."""
    if log:
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, low, high = (np.exp(each) for each in band(np.log(curves)))
        return mean, low, high
    mean, count = curves.mean(1), curves.shape[1]
    if count == 1:
        return mean, mean, mean
    with np.errstate(invalid="ignore"):
        half = quantile(count - 1) * curves.std(1, ddof=1) / np.sqrt(count)
    return mean, mean - half, mean + half
