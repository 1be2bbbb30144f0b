"""Curves in a terminal: two by four dots of braille per character, or a star per character without Unicode."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of the dots of a character, (4, 2)
LABEL = 9  # columns of the numbers beside a curve
STYLES = ("cyan", "bold yellow", "magenta", "green")


@dataclass(frozen=True)
class Curve:
    """A series of a chart."""

    name: str
    x: NDArray[np.float64]  # (P,)
    y: NDArray[np.float64]  # (P,)
    marked: bool = False  # its points as marks on the line: evaluations are few


def chart(
    title: str, curves: Sequence[Curve], width: int, height: int, *, log: bool = False, unicode: bool = True
) -> list[Text]:
    """A chart of `height` lines of `width` columns: a legend with last values, then the curves over the same axes.

    Numbers beside it are the limits of its vertical axis, logarithmic with `log`.
    """
    curves = [curve for curve in (_plotted(curve, log) for curve in curves) if len(curve.x)]
    legend = Text(no_wrap=True, overflow="ellipsis").append(title, "bold")
    for curve, style in zip(curves, STYLES, strict=False):
        mark = ("●" if unicode else "o") if curve.marked else ("─" if unicode else "*")
        legend.append(f"  {mark} ", style).append(f"{curve.name} {_number(curve.y[-1], log)}")
    legend.truncate(width, overflow="ellipsis" if unicode else "crop")
    wide, tall = max(1, width - LABEL), height - 1
    if not curves or tall < 1:
        return [legend]
    xs, ys = (np.concatenate([getattr(curve, axis) for curve in curves]) for axis in "xy")
    (left, right), (low, high) = _limits(xs), _limits(ys)
    shown, styles = np.full((tall, wide), " "), np.full((tall, wide), -1)
    dots = np.zeros((tall, wide), int)
    marks = []
    for number, curve in enumerate(curves[: len(STYLES)]):
        column = (curve.x - left) / (right - left) * (2 * wide - 1)
        row = (high - curve.y) / (high - low) * (4 * tall - 1)
        bits = _line(column, row, 2 * wide, 4 * tall)
        dots |= bits
        styles[bits > 0] = number
        if curve.marked:
            marks.append((number, (row / 4).astype(int), (column / 2).astype(int)))
    full = dots > 0
    shown[full] = [chr(0x2800 + bits) for bits in dots[full]] if unicode else "*"
    for number, rows, columns in marks:
        shown[rows, columns], styles[rows, columns] = "●" if unicode else "o", number
    ends = {0: high, tall - 1: low}
    lines = [legend]
    for i in range(tall):
        label = _number(ends[i], log) if i in ends else ""
        line = Text(f"{label:>{LABEL - 1}} "[:LABEL], "bright_black", no_wrap=True)
        for cell, style in zip(shown[i], styles[i], strict=True):
            line.append(str(cell), STYLES[style] if style >= 0 else None)
        lines.append(line)
    return lines


def _plotted(curve: Curve, log: bool) -> Curve:
    """The points that can be drawn, with logarithms of positive values where `log`."""
    keep = np.isfinite(curve.y) & np.isfinite(curve.x) & ((curve.y > 0) | (not log))
    y = curve.y[keep]
    return Curve(curve.name, curve.x[keep], np.log10(y) if log else y, curve.marked)


def _number(value: float, log: bool) -> str:
    return f"{10**value if log else value:.4g}"


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """The smallest and the largest value; around a single one a range of its size."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        half = abs(low) / 2 or 0.5
        return low - half, high + half
    return low, high


def _line(column: NDArray[np.float64], row: NDArray[np.float64], wide: int, tall: int) -> NDArray[np.int64]:
    """Bits of characters (tall / 4, wide / 2) of straight lines from point to point, in dots."""
    canvas = np.zeros((tall, wide), bool)
    if len(column) > 4 * wide:  # the smallest and largest value of each column are enough
        column, row = _extremes(np.round(column), row)
    for i in range(max(1, len(column) - 1)):
        j = min(i + 1, len(column) - 1)
        steps = 1 + math.ceil(max(abs(column[j] - column[i]), abs(row[j] - row[i])))
        x, y = np.linspace(column[i], column[j], steps), np.linspace(row[i], row[j], steps)
        canvas[np.round(y).astype(int), np.round(x).astype(int)] = True
    cells = canvas.reshape(tall // 4, 4, wide // 2, 2)
    bits: NDArray[np.int64] = (cells * BITS[None, :, None, :]).sum((1, 3))
    return bits


def _extremes(column: NDArray[np.float64], row: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first, smallest, largest and last value of each column, in this order."""
    starts = np.flatnonzero(np.r_[True, np.diff(column) != 0])
    ends = np.r_[starts[1:], len(column)] - 1
    low, high = np.minimum.reduceat(row, starts), np.maximum.reduceat(row, starts)
    return np.repeat(column[starts], 4), np.stack([row[starts], low, high, row[ends]], 1).reshape(-1)
