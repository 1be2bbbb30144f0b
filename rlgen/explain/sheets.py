"""Pictures of explanations: maps beside those of random weights, ascents, filters, strongest images. Matplotlib.

Colours are distinct for the colour-blind: blue and red around white for signed values, cividis for others.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgen.core.files import replacing
from rlgen.report.plots import COLOURS, FORMATS, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGNED, UNSIGNED = "RdBu_r", "cividis"
WRONG = COLOURS[1]  # of the caption of an image in a wrong class
EMPTY = "#9EC9E8"  # where there is no pixel
CELL = 1.35  # inches of an image
BAND = 8  # images side by side, at most
Array = NDArray[Any]


def save(figure: "Figure", path: Path) -> Path:
    """Write a figure as a PNG, whole or not at all; returns the path."""
    import matplotlib

    with replacing(path) as partial, matplotlib.rc_context(STYLE):
        figure.savefig(partial, format="png", dpi=150, metadata=FORMATS["png"])
    return path


def maps_sheet(
    images: Array,
    rows: Sequence[tuple[str, Array]],
    captions: Sequence[tuple[str, bool]],
    notes: Sequence[str],
    *,
    title: str,
    below: str,
    signed: bool,
) -> "Figure":
    """Images (N, H, W, C or 1) with their captions, below each its maps: rows of a label and maps (N, H, W).

    A caption is a text and whether the class is right; `notes` (N,) stand below the last row. Every map is scaled by
    its own largest magnitude.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bands = [range(i, min(i + BAND, len(images))) for i in range(0, len(images), BAND)]
    figure, axes = _grid(len(bands) * (len(rows) + 1), len(bands[0]), title, below)
    cells = iter(range(0, len(axes), len(rows) + 1))
    for band, top in zip(bands, cells, strict=True):
        for column in range(axes.shape[1]):
            for row in range(len(rows) + 1):
                if column >= len(band):
                    axes[top + row, column].remove()
        for column, n in enumerate(band):
            text, right = captions[n]
            show(axes[top, column], images[n])
            axes[top, column].set_title(text, fontsize=8, color="0.1" if right else WRONG, fontweight="normal")
            for row, (_, maps) in enumerate(rows, 1):
                heat(axes[top + row, column], maps[n], signed)
            axes[top + len(rows), column].set_xlabel(notes[n], fontsize=9)
        for row, label in enumerate(["image", *(label for label, _ in rows)]):
            _row_label(axes[top + row, 0], label)
    scale = ScalarMappable(Normalize(-1 if signed else 0, 1), SIGNED if signed else UNSIGNED)
    bar = figure.colorbar(scale, ax=axes[:, -1].tolist(), aspect=30, pad=0.02, ticks=[-1, 0, 1] if signed else [0, 1])
    lowest = ["− largest", "0", "+ largest"] if signed else ["0", "largest"]
    bar.ax.set_yticklabels(lowest, fontsize=8)
    bar.outline.set_visible(False)
    return figure


def pictures_sheet(
    rows: Sequence[tuple[str, Sequence[Array], Sequence[str]]],
    *,
    title: str,
    below: str,
    signed: bool = False,
    columns: Sequence[str] = (),
) -> "Figure":
    """Rows of a label, images (H, W, C or 1), and notes below the images; `columns` are captions of the first row.

    `signed` images are weights of one channel, in colours around white.
    """
    figure, axes = _grid(len(rows), max(len(images) for _, images, _ in rows), title, below)
    for row, (label, images, notes) in enumerate(rows):
        for column in range(axes.shape[1]):
            cell = axes[row, column]
            if column >= len(images):
                cell.set_axis_off()
                continue
            if signed and images[column].shape[-1] == 1:
                heat(cell, images[column][..., 0], signed=True)
            else:
                show(cell, images[column])
            if notes:
                cell.set_xlabel(notes[column], fontsize=8)
            if row == 0 and columns:
                cell.set_title(columns[column], fontsize=9, fontweight="normal")
        _row_label(axes[row, 0], label)
    return figure


def show(axes: "Axes", image: Array) -> None:
    """An image (H, W, C or 1) in [0, 1]; NaN is left empty."""
    pixels = np.clip(image, 0, 1)
    axes.set_facecolor(EMPTY)
    if pixels.shape[-1] == 1:
        axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        empty = np.isnan(pixels).any(-1, keepdims=True)
        axes.imshow(np.concatenate([np.nan_to_num(pixels), 1.0 - empty], -1), interpolation="nearest")


def heat(axes: "Axes", values: Array, signed: bool) -> None:
    """A map (H, W), scaled by its largest magnitude."""
    largest = float(np.abs(values).max()) or 1.0
    low = -largest if signed else 0.0
    axes.imshow(values, cmap=SIGNED if signed else UNSIGNED, vmin=low, vmax=largest, interpolation="nearest")


def _grid(rows: int, columns: int, title: str, below: str) -> tuple["Figure", Any]:
    """A figure with a title and a text below, and its axes (rows, columns) without ticks."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "axes.grid": False, "axes.spines.right": True, "axes.spines.top": True}):
        width = max(7.0, CELL * columns + 1.9)
        figure = Figure(figsize=(width, (CELL + 0.28) * rows + 1.1), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for cell in axes.flatten():
            cell.set_xticks([])
            cell.set_yticks([])
            for spine in cell.spines.values():
                spine.set_color("0.8")
        figure.suptitle(wrapped(title, 0.62 * width), fontweight="bold", fontsize=12)
        figure.supxlabel(wrapped(below, width), fontsize=9, color="0.3")
    return figure, axes


def wrapped(text: str, width: float) -> str:
    """Text in lines that fit `width` inches in letters of 9 points."""
    from textwrap import fill

    return "\n".join(fill(line, int(width * 13)) for line in text.split("\n"))


def short(name: str, letters: int = 16) -> str:
    """A name cut to this number of letters."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def _row_label(axes: "Axes", label: str) -> None:
    axes.set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center", labelpad=8)
