"""The report of a classifier as pictures: confusion matrix, accuracy by class, calibration.

Reliability diagrams: Guo et al. 2017, arXiv:1706.04599. Drawn from the JSON of a report; imports no torch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgen.core.files import replacing
from rlgen.report.neighbours import by_k
from rlgen.report.plots import COLOURS, FORMATS, STYLE
from rlgen.supervised.measures import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE = COLOURS[0], COLOURS[1]
DETAILED, NUMBERED, NAMED = 14, 32, 64  # classes, at most: counts with shares, counts alone, a name on each row
SHOWN = 40  # classes in the picture of accuracies, at most: those of the lowest
LETTERS = 18  # of a class name


def draw(report: Mapping[str, Any], directory: Path, title: str) -> list[Path]:
    """Write each picture for which `report` has the numbers into `directory`; returns the paths.

    `title` names algorithm and dataset.
    """
    import matplotlib

    paths = []
    for name, (needed, figure) in PICTURES.items():
        if report.get(needed):
            with matplotlib.rc_context(STYLE), replacing(path := directory / f"{name}.png") as partial:
                figure(report, title).savefig(partial, format="png", dpi=110, metadata=FORMATS["png"])
            paths.append(path)
    return paths


def confusion(report: Mapping[str, Any], title: str) -> "Figure":
    """Rows of labels, columns of predictions: counts, coloured by their share of the row.

    Errors have a colour scale of their own: beside the hits, those of a good classifier would all be white.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.figure import Figure

    counts = np.array(report["confusion"], float)
    k = len(counts)
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    wrong = np.where(np.eye(k, dtype=bool), 0, share)
    hits = LinearSegmentedColormap.from_list("hits", ["#FFFFFF", "#9CCBE8", BLUE])
    errors = LinearSegmentedColormap.from_list("errors", ["#FFFFFF", "#F6C9A0", ORANGE])
    scale = PowerNorm(0.5, 0, wrong.max() or 1)  # few errors are visible beside many
    pixels = np.where(np.eye(k, dtype=bool)[..., None], hits(share), errors(scale(wrong)))
    side = float(np.clip((0.66 if k <= DETAILED else 0.36) * k, 4.2, 14))
    picture = Figure(figsize=(side + 2.2, side + 1.2), layout="constrained")
    axes = picture.add_subplot()
    axes.imshow(pixels, aspect="equal")
    axes.grid(visible=False)
    dark = np.where(np.eye(k, dtype=bool), share, scale(wrong)) > 0.8
    for row, column in np.argwhere(counts > 0) if k <= NUMBERED else ():
        number = f"{counts[row, column]:,.0f}"
        text = f"{number}\n{_percent(share[row, column])}" if k <= DETAILED else number
        size = 9 if k <= DETAILED else min(8, 40 / len(number))
        colour = "white" if dark[row, column] else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    _class_ticks(axes, [_cut(name) for name in report["classes"]], k)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("label")
    several = f"predictions of {report['networks']} networks for " if report.get("networks", 1) > 1 else ""
    axes.set_title(f"{title}\nconfusion matrix of {several}{report['images']:,} test images", loc="left")
    bar = ScalarMappable(scale, errors)
    picture.colorbar(bar, ax=axes, shrink=0.7, format=_percent, label="errors, share of the row")
    return picture


def by_class(report: Mapping[str, Any], title: str) -> "Figure":
    """Recall and precision of each class with their intervals, the class of the lowest recall above."""
    from matplotlib.figure import Figure

    rows = [(name, row) for name, row in report["classes"].items() if row["recall"] is not None]
    rows = sorted(rows, key=lambda pair: pair[1]["recall"])[:SHOWN]
    picture = Figure(figsize=(7.5, 1.9 + 0.3 * len(rows)), layout="constrained")
    axes = picture.add_subplot()
    y = np.arange(len(rows))
    looks = (("recall", "o", BLUE, -0.15), ("precision", "D", ORANGE, 0.15))
    for name, marker, colour, shift in looks:
        value = np.array([np.nan if row[name] is None else row[name] for _, row in rows], float)
        low, high = np.array([row[f"{name}_ci95"] for _, row in rows], float).T
        axes.hlines(y + shift, low, high, color=colour, linewidth=1.5)
        axes.plot(value, y + shift, color=colour, marker=marker, markersize=5, linestyle="", label=name)
    mean = report["accuracy"]
    dashed: dict[str, Any] = {"color": "0.2", "linestyle": (0, (4, 3)), "linewidth": 1}
    axes.axvline(mean, label=f"accuracy {100 * mean:.2f} %", **dashed)
    axes.set_yticks(y, [f"{_cut(name)} ({row['images']:,})" for name, row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(_percent)
    axes.set_xlabel("recall and precision on test images, with 95 % Wilson intervals")
    axes.set_ylabel("class (test images)")
    fewer = (
        f"\nthe {SHOWN} of {len(report['classes'])} classes of the lowest recall"
        if len(report["classes"]) > SHOWN
        else ""
    )
    axes.set_title(f"{title}: accuracy by class{fewer}", loc="left")
    picture.legend(loc="outside lower center", ncols=3)
    return picture


def calibration(report: Mapping[str, Any], title: str) -> "Figure":
    """Accuracy against confidence, by bins of confidence, and how many predictions each bin holds."""
    from matplotlib.figure import Figure

    bins = report["calibration"]
    count = np.array(bins["count"])
    edges, some = np.array(bins["edges"]), count > 0
    networks = report.get("networks", 1)
    confidence, accuracy = (np.array(bins[name], float)[some] for name in ("confidence", "accuracy"))
    low, high = wilson(accuracy, count[some] / networks)
    picture = Figure(figsize=(5.8, 6.6), layout="constrained")
    above, below = picture.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="0.2", linestyle=(0, (4, 3)), linewidth=1, label="perfect calibration")
    above.vlines(confidence, low, high, color=BLUE, linewidth=1.5, label="95 % Wilson interval")
    above.plot(confidence, accuracy, color=BLUE, marker="o", markersize=5, linestyle="", label="test images of a bin")
    above.set_ylim(-0.03, 1.03)
    above.set_ylabel("accuracy")
    above.set_title(f"{title}\nexpected calibration error {_percent(report['ece'])}", loc="left")
    above.legend(loc="upper left")
    below.bar(edges[:-1], count, np.diff(edges), align="edge", color=BLUE, alpha=0.6, edgecolor="white")
    below.set_yscale("log")
    below.set_ylim(0.7, 1.5 * count.max())
    below.set_ylabel("predictions")
    below.set_xlabel("confidence: probability of the predicted class")
    below.set_xlim(-0.02, 1.02)
    for axis in (above.xaxis, above.yaxis):
        axis.set_major_formatter(_percent)
    below.yaxis.set_major_formatter("{x:,.0f}")
    return picture


PICTURES = {  # file names, each with the entry of the report it needs
    "confusion": ("confusion", confusion),
    "classes": ("classes", by_class),
    "calibration": ("calibration", calibration),
    "by-k": ("ks", by_k),
}


def _class_ticks(axes: "Axes", names: Sequence[str], k: int) -> None:
    """Names of the classes along both axes, of very many every so many; lines between the cells."""
    step = -(-k // NAMED)
    at, size = range(0, k, step), 10 if k <= DETAILED else 8
    short = k <= NUMBERED and max(map(len, names)) <= 3
    axes.set_xticks(at, names[::step], rotation=0 if short else 90, fontsize=size)
    axes.set_yticks(at, names[::step], fontsize=size)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(1, k) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, k) - 0.5, minor=True)
    axes.grid(which="minor", color="0.9", linewidth=0.6)
    axes.tick_params(which="minor", length=0)


def _percent(share: float, position: float = 0) -> str:
    """One digit after the point, two close to 100 %; as a formatter of ticks it also takes their `position`."""
    number = 100 * share
    digits = f"{number:.2f}" if 99.9 < number < 99.995 else f"{number:.1f}" if number > 0.09 else f"{number:.1g}"
    return f"{digits.removesuffix('.0')} %"


def _cut(name: str) -> str:
    """Long names without their middle: what distinguishes them is at one of the ends."""
    return name if len(name) <= LETTERS else f"{name[: LETTERS // 2]}…{name[-(LETTERS // 2 - 1) :]}"
