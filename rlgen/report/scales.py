"""Scales of the vertical axis of a plot: linear, logarithmic, or by the distance from 1 for accuracies near 1."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlgen.report.statistics import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 0.05  # of the height, above and below the values
ACCURACIES = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)  # ticks
ROUNDING = 1e-5  # errors below it are those of means, not of images
FEW, MANY = 3, 12  # ticks, at least and at most
DECADES = 3  # of a logarithmic axis, up to which there are ticks at 2 and 5 times a power of ten


def fit(axes: "Axes", scale: str, values: Floats) -> None:
    """Give `axes` its vertical scale, limits that hold all `values` with a margin, and readable ticks.

    `scale` is linear, log, or accuracy: -log(1 - accuracy), on which 90 % to 99 % is as far as 99 % to 99.9 %.
    """
    {"linear": _linear, "log": _logarithmic, "accuracy": _accuracy}[scale](axes, values)


def _linear(axes: "Axes", values: Floats) -> None:
    low, high = values.min(), values.max()
    margin = MARGIN * (high - low) or MARGIN * abs(high) or 1
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_formatter("{x:,.10g}")


def _logarithmic(axes: "Axes", values: Floats) -> None:
    """Values of 0 are below the lower limit."""
    positive = values[values > 0]
    if not len(positive):
        _linear(axes, values)
        return
    low, high = float(positive.min()), float(positive.max())
    margin = (high / low) ** MARGIN if high > low else 2
    low, high = low / margin, high * margin
    axes.set_yscale("log")
    steps = (1, 2, 5) if high / low < 10**DECADES else (1,)
    exponents = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = _inside([step * 10.0**exponent for exponent in exponents for step in steps], low, high)
    ticks = ticks[:: -(-len(ticks) // MANY)]
    _ticks(axes, {tick: f"{tick:,.10g}" for tick in ticks})
    axes.set_ylim(low, high)  # last: ticks move limits


def _accuracy(axes: "Axes", values: Floats) -> None:
    """An accuracy of 1 is where the error is half of the smallest one above 0."""
    values = np.where(values > 1 - ROUNDING, 1, values)
    errors = 1 - values
    least = float(errors[errors > 0].min(initial=0.5)) / 2

    def forward(accuracy: Floats) -> Floats:
        return -np.log10(np.where(accuracy >= 1, least, np.maximum(1 - accuracy, 1e-9)))

    def inverse(height: Floats) -> Floats:
        return np.asarray(1 - 10.0**-height)

    low, high = float(forward(values).min()), float(forward(values).max())
    margin = MARGIN * (high - low) or 0.1
    axes.set_yscale("function", functions=(forward, inverse))
    ends = inverse(np.array([low - margin, high + margin]))
    labels = {tick: f"{100 * tick:.4g} %" for tick in _inside(ACCURACIES, *ends.tolist())}
    if values.max() == 1:  # in the place of the ticks close to it
        labels = {tick: label for tick, label in labels.items() if tick < 1 - 1.5 * least}
        labels[1.0] = "100 %"
    _ticks(axes, labels)
    axes.set_ylim(*ends)


def _inside(ticks: Sequence[float], low: float, high: float) -> list[float]:
    """Those of `ticks` between the limits; equally spaced ones where there are too few of them to read the scale."""
    from matplotlib.ticker import MaxNLocator

    found = [tick for tick in ticks if low <= tick <= high]
    spaced = np.asarray(MaxNLocator(5).tick_values(low, high))
    return found if len(found) >= FEW else [tick for tick in spaced.round(10).tolist() if low <= tick <= high]


def _ticks(axes: "Axes", labels: dict[float, str]) -> None:
    axes.set_yticks(list(labels), list(labels.values()))
    axes.set_yticks([], minor=True)
