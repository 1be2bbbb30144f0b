"""Learning curves as pictures.

Matplotlib is imported where it draws, through its objects: no window, no pyplot, no settings left behind.
"""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgen.core.errors import UserError
from rlgen.core.files import replacing
from rlgen.report import legends, numbers, scales
from rlgen.report.experiments import experiments
from rlgen.report.lines import Line, View, lines
from rlgen.report.logs import read
from rlgen.report.rendering import rendered
from rlgen.report.statistics import Floats

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Without dates and versions, equal data give equal files.
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "csv": {},
}
# Colours of Okabe and Ito, distinct for the colour-blind; with the markers, 42 pairs before one returns.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP"
DASHES = ("-", "--", ":", "-.")
FEW = 15  # evaluations, up to which each has a marker
DOTS = 3_000  # single episodes in a picture, at most
POINTS = 1_000  # of a faint line, each the lowest and the highest of its neighbours, at most
COLUMN, PAGE = 3.3, 6.9  # inches of a column and of a page of a paper
NARROWEST = 2.1  # inches of a panel beside another
FAR = 2.0  # times the height of the curves, up to which a known value may lie beside them
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "0.6",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "grid.color": "0.9",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "svg.hashsalt": "rlgen",
    "text.parse_math": False,
    "xtick.color": "0.3",
    "ytick.color": "0.3",
}
PAPER: dict[Any, Any] = {  # readable in a column of a paper, where text of 8 points is as large as a caption
    **STYLE,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.titlesize": 8,
    "figure.titlesize": 8,
    "figure.titleweight": "bold",
    "font.size": 8,
    "grid.linewidth": 0.5,
    "legend.columnspacing": 1.2,
    "legend.fontsize": 7,
    "legend.handlelength": 1.8,
    "pdf.fonttype": 42,  # outlines, which publishers ask for
    "xtick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.labelsize": 7,
    "ytick.major.width": 0.6,
}


def curves(
    directories: Iterable[Path], out: Path, view: View | None = None, width: float | None = None, apart: bool = False
) -> None:
    """Draw runs into one picture: png, svg or pdf by the suffix of `out`; csv writes the numbers instead.

    `width` is that of the picture in inches, by default a column of a paper for a single panel and a page for several.
    With `apart` each run has a line of its own; otherwise the seeds of one configuration are one line with a band.
    """
    suffix = out.suffix.lstrip(".").lower()
    if suffix not in FORMATS:
        raise UserError(f"cannot write {out.name}: its name may end in .{', .'.join(FORMATS)}")
    view = view or View()
    unique = {directory.resolve(): directory for directory in directories}  # a run named twice is not two seeds
    found = lines(experiments([read(directory) for directory in unique.values()], apart), view)
    for directory in unique.values():
        if not directory.is_dir():  # writing into it would make an empty run
            raise UserError(f"{directory} was removed while it was plotted")
    with replacing(out) as partial:
        if suffix == "csv":
            numbers.write(found, view, partial)
            return
        import matplotlib

        with matplotlib.rc_context(PAPER), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a script that the font lacks
            picture = figure(found, view, width)
            dpi = 300 if picture.get_figwidth() < (COLUMN + PAGE) / 2 else 200
            partial.write_bytes(rendered(picture, format=suffix, dpi=dpi, metadata=FORMATS[suffix]))


def figure(lines: Sequence[Line], view: View | None = None, width: float | None = None) -> "Figure":
    """A panel per task and scale, a colour per experiment (or per metric, of a single one), one legend below all."""
    from matplotlib.figure import Figure

    view = view or View()
    groups: dict[tuple[str, ...], list[Line]] = {}
    order = list(dict.fromkeys(panel.value for panel in lines[0].kind.panels))
    lines = sorted(
        lines, key=lambda line: (view.metrics or order).index(line.metric if view.metrics else line.panel.value)
    )
    for line in lines:
        groups.setdefault((line.task, line.panel.value, line.scale), []).append(line)
    columns = {1: 1, 2: 2, 4: 2}.get(len(groups), 3)
    width = width or (COLUMN if columns == 1 else PAGE)
    columns = max(1, min(columns, int(width / NARROWEST)))
    rows = -(-len(groups) // columns)
    height = min(max(0.7 * width / columns, 1.5), 4)
    picture = Figure(figsize=(width, height * rows + 0.1), layout="constrained")
    panels = picture.subplots(rows, columns, squeeze=False).flatten().tolist()
    for panel in panels[len(groups) :]:
        panel.remove()
    styles = _styles(lines)
    gaps: list[Artist] = []
    outside: dict[tuple[str, float], str] = {}
    titles = [_title(here, lines) for here in groups.values()]
    common = len(set(titles)) == 1
    if common:
        (panels[0].set_title if len(groups) == 1 else picture.suptitle)(_wrapped(titles[0], width))
    for ((_, value, _), here), panel, title in zip(groups.items(), panels, titles, strict=False):
        for line in here:
            _draw(panel, line, styles[line.label, line.metric])
        gaps += _shade(panel, here)
        if not common:
            panel.set_title(_wrapped(title, width / columns))
        panel.set_xlabel(_time(here[0], view))
        panel.set_ylabel(fill(value, int(16 * height)))
        outside |= _scale(panel, here, lines, width / columns, view)
    steps = max((_every(line) for line in lines if line.window and line.n == 1), default=1)
    legends.place(picture, [*legends.entries(lines, styles, steps, outside), *gaps])
    return picture


def _time(line: Line, view: View) -> str:
    """The label of the horizontal axis, with its unit."""
    return {"steps": line.kind.time, "episodes": "training episodes", "seconds": "training time (seconds)"}[view.x]


def _wrapped(title: str, width: float) -> str:
    """A title in lines that fit in `width` inches."""
    return "\n".join(fill(part, int(13 * width)) for part in title.split("\n"))


def _styles(lines: Sequence[Line]) -> dict[tuple[str, str], dict[str, Any]]:
    """Colour, marker and line style of each metric of each experiment."""
    labels = list(dict.fromkeys(line.label for line in lines))
    words = list(dict.fromkeys(line.panel.metrics[line.metric] for line in lines))  # each has one style in all panels
    styles = {}
    for line in lines:
        metric = words.index(line.panel.metrics[line.metric])
        index = metric if len(labels) == 1 else labels.index(line.label)
        styles[line.label, line.metric] = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": MARKERS[index % len(MARKERS)] if line.is_evaluation or len(line.x) == 1 else "",
            "markersize": 4,
            "linestyle": "" if line.is_evaluation else "-" if len(labels) == 1 else DASHES[metric % len(DASHES)],
        }
    return styles


def _draw(panel: "Axes", line: Line, style: dict[str, Any]) -> None:
    """Single seeds or episodes faintly, then the mean, then its interval."""
    colour = style["color"]
    if line.is_evaluation and len(line.x) <= FEW:
        for curve in line.curves if line.n > 1 else ():
            panel.plot(curve.x, curve.y, color=colour, linestyle="", marker=".", markersize=2.5, alpha=0.5)
        panel.plot(line.x, line.centre, color=colour, alpha=0.5, linewidth=0.8)
        panel.plot(line.x, line.centre, linewidth=1.5, **style)
        if line.interval:
            panel.vlines(line.x, line.low, line.high, color=colour, linewidth=1)
        return
    if line.is_evaluation:  # markers and bars would hide each other
        style = {**style, "linestyle": "-", "markevery": -(-len(line.x) // FEW)}
    raw = line.curves[0].raw
    if line.n > 1:
        for curve in line.curves:
            panel.plot(*_thin(curve.x, curve.y), color=colour, alpha=0.45, linewidth=0.5)
    elif raw is not None and line.window:
        step = _every(line)
        x, y = raw[0][::step], raw[1][::step]
        panel.plot(x, y, color=colour, linestyle="", marker="o", markersize=2.2, markeredgewidth=0, alpha=0.4)
    elif raw is not None:
        panel.plot(*_thin(*raw), color=colour, alpha=0.3, linewidth=0.7)
    panel.plot(*_thin(line.x, line.centre), linewidth=1.5, **style)
    if line.interval:
        panel.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)


def _thin(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A curve (P,) by the lowest and the highest of every few points, which looks the same and is drawn sooner."""
    size = len(x) // POINTS
    if size < 3:
        return x, y
    rows = y[: size * POINTS].reshape(POINTS, size)
    at = np.sort([rows.argmin(1), rows.argmax(1)], axis=0) + size * np.arange(POINTS)  # (2, POINTS)
    kept = np.unique(np.append(at, [0, *range(size * POINTS, len(x)), len(x) - 1]))
    return x[kept], y[kept]


def _every(line: Line) -> int:
    """Every how many of the episodes of a single seed are drawn."""
    raw = line.curves[0].raw
    return 1 if raw is None else -(-len(raw[0]) // DOTS)


def _shade(panel: "Axes", here: Sequence[Line]) -> list["Artist"]:
    """Shade the gap between two evaluations of a single experiment; its last value is an entry of the legend."""
    from matplotlib.patches import Patch

    lines, accuracy = {line.metric: line for line in here}, here[0].panel.axis == "accuracy"
    found = [lines[metric] for metric in here[0].panel.gap if metric in lines]
    if len(found) < 2 or len({line.label for line in here}) > 1 or len(found[0].x) != len(found[1].x):
        return []
    first, second = found
    grey: dict[str, Any] = {"color": "0.5", "alpha": 0.15, "linewidth": 0}
    panel.fill_between(first.x, first.centre, second.centre, **grey)
    sign = -1 if found[0].panel.better == "lower" else 1  # a gap below 0: the second is better
    gap = sign * float(first.centre[-1] - second.centre[-1])
    text = f"{100 * gap:.2f} points" if accuracy else f"{gap:.3g}"
    return [Patch(**grey, label=f"gap of the {here[0].panel.value}, {text} at the end")]


def _title(here: Sequence[Line], lines: Sequence[Line]) -> str:
    """What all lines of a panel have in common; the legend has the rest."""
    first, n = here[0].experiment, max(line.n for line in here)
    algorithm, task = first.algorithm, first.title
    if len({line.label for line in lines}) == 1:
        return f"{algorithm} on {task}, " + (f"{n} seeds" if n > 1 else f"seed {here[0].curves[0].seed[0]}")
    if len({line.experiment.algorithm for line in here}) > 1:
        return task
    alike = {line.scale for line in lines if (line.experiment.algorithm, line.experiment.title) == (algorithm, task)}
    return f"{algorithm} on {task}" + (f"\n{here[0].scale}" if len(alike - {""}) > 1 else "")


def _scale(
    panel: "Axes", here: Sequence[Line], lines: Sequence[Line], width: float, view: View
) -> dict[tuple[str, float], str]:
    """From zero to the end; ticks with thousands separators, as many as `width` (inches) has room for.

    Draws known values, and returns those that lie far from the curves, `above` or `below` the panel.
    """
    from matplotlib.ticker import MaxNLocator

    end = max(line.x[-1] for line in here) or 1  # 0: evaluated before training, and no more
    start = min(0, *(line.x[0] for line in here))
    panel.set_xlim(start - 0.02 * (end - start), end + 0.02 * (end - start))
    ticks = max(2, min(5, int((width - 0.6) * 10 / len(f"{end:,.0f}"))))
    panel.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    panel.xaxis.set_major_formatter("{x:,.10g}")
    # An outlier among the faint points may lie outside the picture, and so may the fall of a loss at its start, beside
    # which everything later would be a flat line.
    shown = []
    for line in here:
        counts = line.x >= line.x[-1] * line.panel.fall
        shown += [line.low[counts], line.high[counts]]
        for x, y in ((c.x, c.y) if line.n > 1 else c.raw or (c.x, c.y) for c in line.curves):
            shown.append(np.quantile(y[x >= x[-1] * line.panel.fall], [0.01, 0.99]))
    values = np.concatenate(shown)
    low, high = values.min(), values.max()
    room, outside = FAR * (high - low) or abs(high) or 1, {}
    axis = "log" if view.log else here[0].panel.axis
    for name, known in legends.references(here):
        if axis != "linear" or low - room <= known <= high + room:
            values = np.append(values, known)
            panel.axhline(known, **legends.known_style(lines, (name, known)))
        else:
            outside[name, known] = "above" if known > high else "below"
    scales.fit(panel, axis, values)
    return outside
