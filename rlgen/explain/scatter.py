"""Pictures of features in two dimensions: points coloured by class, and the images at their points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgen.report.plots import COLOURS, MARKERS, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES = 20  # in a legend, at most
CANVAS = 1600  # pixels along each side of the picture of images
Array = NDArray[Any]


def classes_sheet(
    panels: Sequence[tuple[str, Array, tuple[str, str]]],
    labels: Array,
    classes: Sequence[str],
    title: str,
    columns: int,
) -> "Figure":
    """Panels of a title, points (N, 2) and axis labels; a colour and marker per class of `labels` (N,)."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(4.6 * columns, 4.2 * rows + 0.9), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).flatten()
        for cell, (name, points, (x, y)) in zip(axes, panels, strict=True):
            for k, label in enumerate(classes):
                at = points[labels == k]
                colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
                cell.plot(
                    at[:, 0], at[:, 1], linestyle="", marker=marker, color=colour, markersize=3.5, markeredgewidth=0,
                    alpha=0.75, label=label,
                )  # fmt: skip
            cell.set_title(name, fontsize=10)
            cell.set_xlabel(x, fontsize=9)
            cell.set_ylabel(y, fontsize=9)
            cell.tick_params(labelsize=8)
        handles, names = axes[0].get_legend_handles_labels()
        fit = max(1, int(figure.get_figwidth() * 11 / (6 + max(map(len, names)))))  # in letters of 9 points
        if len(names) <= CLASSES:
            figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), fit), markerscale=2)
        figure.suptitle(title, fontweight="bold", fontsize=12)
    return figure


def images_canvas(points: Array, images: Array, zoom: int) -> NDArray[np.uint8]:
    """Images (N, H, W, C or 1) uint8 at their points (N, 2), those left out that would cover an earlier one."""
    height, width, channels = (images.shape[1] + 1) * zoom, (images.shape[2] + 1) * zoom, images.shape[3]
    canvas = np.full((CANVAS, CANVAS, channels), 255, np.uint8)
    low, span = points.min(0), np.ptp(points, 0)
    at = (points - low) / np.where(span > 0, span, 1)
    free = np.ones((CANVAS, CANVAS), bool)
    for (x, y), image in zip(at, images, strict=True):
        left, top = round(x * (CANVAS - width)), round((1 - y) * (CANVAS - height))
        if free[top : top + height, left : left + width].all():
            free[top : top + height, left : left + width] = False
            tile = image.repeat(zoom, 0).repeat(zoom, 1)
            canvas[top : top + len(tile), left : left + tile.shape[1]] = tile
    return canvas[..., 0] if channels == 1 else canvas
