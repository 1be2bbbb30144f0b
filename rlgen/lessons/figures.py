"""The figure of a lesson: a row of panels with means and 95 % intervals over seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgen.core.files import replacing
from rlgen.lessons.schema import Panel
from rlgen.lessons.series import Series
from rlgen.report.plots import COLOURS, DASHES, MARKERS, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3  # panels in a row
Drawn = tuple[Panel, list[Series]]


def write(panels: Sequence[Drawn], path: Path, title: str, note: str) -> None:
    """Draw the panels to a PNG."""
    import matplotlib

    with replacing(path) as partial, matplotlib.rc_context(STYLE):
        figure(panels, title, note).savefig(partial, format="png", dpi=130, metadata={"Software": None})


def figure(panels: Sequence[Drawn], title: str, note: str) -> "Figure":
    """A panel per entry, in rows of three; each map has a panel of its own."""
    from matplotlib.figure import Figure

    cells = [cell for panel, found in panels for cell in _cells(panel, found)]
    columns = min(len(cells), COLUMNS)
    rows = -(-len(cells) // columns)
    picture = Figure(figsize=(max(6.4, 4.6 * columns), 4.2 * rows + 0.4), layout="constrained")
    axes = picture.subplots(rows, columns, squeeze=False).flatten().tolist()
    for empty in axes[len(cells) :]:
        empty.remove()
    colours = _colours(panels)
    for ax, (panel, found) in zip(axes, cells, strict=False):
        DRAWN[panel.kind](ax, panel, found, colours)
        if panel.kind != "maps":
            _frame(ax, panel)
            if len(found) > 1 or panel.kind != "bars":
                ax.legend(loc="best")
    picture.suptitle(title, fontweight="bold", fontsize=12)
    picture.supxlabel(note, fontsize=8, color="0.4")
    return picture


def _cells(panel: Panel, found: list[Series]) -> list[Drawn]:
    return [(panel, [each]) for each in found] if panel.kind == "maps" else [(panel, found)]


def _colours(panels: Sequence[Drawn]) -> dict[str, dict[str, Any]]:
    """One colour, marker and line style per label, equal in all panels."""
    styles, count = {}, len(COLOURS)
    for kinds in (("bars",), ("curves", "lines", "paths")):  # bars of values, lines of conditions
        labels = dict.fromkeys(each.label for panel, found in panels if panel.kind in kinds for each in found)
        for i, label in enumerate(labels):
            styles[label] = {
                "color": COLOURS[i % count],
                "linestyle": DASHES[i // count % len(DASHES)],
                "marker": MARKERS[i % len(MARKERS)],
            }
    return styles


def _frame(ax: "Axes", panel: Panel) -> None:
    ax.set_title(panel.title, fontsize=10)
    ax.set_xlabel(panel.xlabel or panel.x.replace("_", " "))
    ax.set_ylabel(panel.ylabel)
    for name, axis, scale in (("x", ax.xaxis, ax.set_xscale), ("y", ax.yaxis, ax.set_yscale)):
        if name in panel.log:
            scale("log")
            axis.set_major_formatter(lambda value, place: f"{value:g}")
            axis.set_minor_formatter(lambda value, place: "")
    if panel.limits:
        ax.set_ylim(*panel.limits)


def _draw_curves(ax: "Axes", panel: Panel, found: list[Series], colours: dict[str, dict[str, Any]]) -> None:
    for each in found:
        style = {**colours[each.label], "marker": None if len(each.x) > 1 else colours[each.label]["marker"]}
        ax.plot(each.x, each.mean, label=each.label, **style)
        if each.seeds > 1:
            ax.fill_between(each.x, each.low, each.high, color=style["color"], alpha=0.18, linewidth=0)


def _draw_lines(ax: "Axes", panel: Panel, found: list[Series], colours: dict[str, dict[str, Any]]) -> None:
    for each in found:
        ax.errorbar(each.x, each.mean, yerr=_errors(each), label=each.label, capsize=3, **colours[each.label])
    if found and found[0].ticks:
        _ticks(ax, found[0].ticks)


def _draw_bars(ax: "Axes", panel: Panel, found: list[Series], colours: dict[str, dict[str, Any]]) -> None:
    width = 0.8 / len(found)
    for i, each in enumerate(found):
        x = each.x + (i - (len(found) - 1) / 2) * width
        colour = colours[each.label]["color"]
        ax.bar(x, each.mean, width, label=each.label, color=colour, alpha=0.85)
        ax.errorbar(x, each.mean, yerr=_errors(each), fmt="none", ecolor="0.2", capsize=3)
    _ticks(ax, found[0].ticks)
    ax.grid(False, axis="x")


def _draw_paths(ax: "Axes", panel: Panel, found: list[Series], colours: dict[str, dict[str, Any]]) -> None:
    if panel.surface:
        a, b = panel.surface
        far = 1.15 * max(float(np.abs(np.concatenate([each.x for each in found])).max()), 1e-9)
        high = 1.15 * max(float(np.abs(np.concatenate([each.mean for each in found])).max()), 1e-9)
        x, y = np.meshgrid(np.linspace(-far, far, 200), np.linspace(-high, high, 200))
        height = (a * x**2 + b * y**2) / 2
        ax.contour(
            x, y, height, levels=np.geomspace(height.max() / 2000, height.max(), 12), colors="0.8", linewidths=0.8
        )
    for each in found:
        ax.plot(each.x, each.mean, label=each.label, markersize=3, linewidth=1.2, **colours[each.label])
    ax.plot([0], [0], "k*", markersize=9)


def _draw_map(ax: "Axes", panel: Panel, found: list[Series], colours: dict[str, dict[str, Any]]) -> None:
    (each,) = found
    assert each.map is not None
    ax.imshow(each.map, cmap="viridis", interpolation="nearest")
    ax.set_title(each.label, fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)


def _ticks(ax: "Axes", ticks: tuple[str, ...]) -> None:
    ax.set_xticks(range(len(ticks)))
    long = sum(map(len, ticks)) > 34
    ax.set_xticklabels(ticks, rotation=30 if long else 0, ha="right" if long else "center")


def _errors(each: Series) -> Any:
    return np.stack([each.mean - each.low, each.high - each.mean])


DRAWN = {
    "curves": _draw_curves, "bars": _draw_bars, "lines": _draw_lines, "paths": _draw_paths, "maps": _draw_map,
}  # fmt: skip
