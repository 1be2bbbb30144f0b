"""Learning curves as pictures.

Matplotlib is imported where it draws, through its objects: no window, no pyplot, no settings left behind.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgen.core.errors import UserError
from rlgen.core.files import replacing
from rlgen.report import scales
from rlgen.report.comparison import Axis, Line, compare, read

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
LINE = 0.2  # inches of a line of the legend
DOTS = 3_000  # single episodes in a picture, at most
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


def curves(directories: Iterable[Path], out: Path, x: Axis = "steps") -> None:
    """Draw runs into one picture: png, svg or pdf by the suffix of `out`; csv writes the numbers instead."""
    suffix = out.suffix.lstrip(".").lower()
    if suffix not in FORMATS:
        raise UserError(f"cannot write {out.name}: its name may end in .{', .'.join(FORMATS)}")
    unique = {directory.resolve(): directory for directory in directories}  # a run named twice is not two seeds
    lines = compare([read(directory) for directory in unique.values()], x)
    with replacing(out) as partial:
        if suffix == "csv":
            _write_numbers(lines, x, partial)
            return
        import matplotlib

        with matplotlib.rc_context(STYLE):
            figure(lines, x).savefig(partial, format=suffix, dpi=150, metadata=FORMATS[suffix])


def figure(lines: Sequence[Line], x: Axis = "steps") -> "Figure":
    """A panel per task and scale, a colour per experiment (or per metric, of a single one), one legend below all."""
    from matplotlib.figure import Figure

    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in sorted(lines, key=lambda line: list(line.kind.panels).index(line.panel)):
        groups.setdefault((line.task, line.panel.value, line.scale), []).append(line)
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)
    picture = Figure(figsize=(8, 5) if columns == 1 else (4.6 * columns, 3.6 * rows + 0.5), layout="constrained")
    panels = picture.subplots(rows, columns, squeeze=False).flatten().tolist()
    for panel in panels[len(groups) :]:
        panel.remove()
    styles = _styles(lines)
    gaps: list[Artist] = []
    for ((_, value, _), here), panel in zip(groups.items(), panels, strict=False):
        for line in here:
            _draw(panel, line, styles[line.label, line.metric])
        gaps += _shade(panel, here)
        for _, known in _references(here):
            panel.axhline(known, color="0.2", linestyle=(0, (4, 3)), linewidth=1)
        panel.set_title(_title(here, lines))
        panel.set_xlabel("seconds of training" if x == "seconds" else here[0].kind.time)
        panel.set_ylabel(value)
        _scale(panel, here, picture.get_figwidth() / columns)
    handles = [*_legend(lines, styles), *gaps]
    widths = np.array([max(map(len, str(handle.get_label()).split("\n"))) + 6 for handle in handles])  # in letters
    room = picture.get_figwidth() * 13
    fits = (n for n in range(len(handles), 1, -1) if sum(part.max() for part in np.array_split(widths, n)) <= room)
    columns = next(fits, 1)
    lines_of_text = sum(str(handle.get_label()).count("\n") + 1 for handle in handles) / columns
    picture.set_figheight(picture.get_figheight() + LINE * max(0, lines_of_text - 3))  # a tall legend takes no panel
    picture.legend(handles=handles, loc="outside lower center", ncols=columns)
    return picture


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
            "linestyle": "" if line.is_evaluation else "-" if len(labels) == 1 else DASHES[metric % len(DASHES)],
        }
    return styles


def _draw(panel: "Axes", line: Line, style: dict[str, Any]) -> None:
    """Single seeds or episodes faintly, then the mean, then its interval."""
    colour = style["color"]
    if line.is_evaluation:
        for curve in line.curves if line.n > 1 else ():
            panel.plot(curve.x, curve.y, color=colour, linestyle="", marker=".", markersize=4, alpha=0.5)
        panel.plot(line.x, line.mean, color=colour, alpha=0.4, linewidth=1)
        panel.plot(line.x, line.mean, linewidth=2, **style)
        if line.interval:
            panel.vlines(line.x, line.low, line.high, color=colour, linewidth=1.5)
        return
    raw = line.curves[0].raw
    if line.n > 1:
        for curve in line.curves:
            panel.plot(curve.x, curve.y, color=colour, alpha=0.45, linewidth=0.7)
    elif raw is not None and line.window:
        step = _every(line)
        x, y = raw[0][::step], raw[1][::step]
        panel.plot(x, y, color=colour, linestyle="", marker="o", markersize=3, markeredgewidth=0, alpha=0.45)
    elif raw is not None:
        panel.plot(*raw, color=colour, alpha=0.25, linewidth=1)
    panel.plot(line.x, line.mean, linewidth=2, **style)
    if line.interval:
        panel.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)


def _every(line: Line) -> int:
    """Every how many of the episodes of a single seed are drawn."""
    raw = line.curves[0].raw
    return 1 if raw is None else -(-len(raw[0]) // DOTS)


def _references(lines: Iterable[Line]) -> list[tuple[str, float]]:
    """Known values to compare with, each once."""
    return list(dict.fromkeys(reference for line in lines for reference in line.references))


def _shade(panel: "Axes", here: Sequence[Line]) -> list["Artist"]:
    """Shade the gap between two evaluations of a single experiment; its last value is an entry of the legend."""
    from matplotlib.patches import Patch

    lines, accuracy = {line.metric: line for line in here}, here[0].panel.axis == "accuracy"
    found = [lines[metric] for metric in here[0].panel.gap if metric in lines]
    if len(found) < 2 or len({line.label for line in here}) > 1 or len(found[0].x) != len(found[1].x):
        return []
    first, second = found
    grey: dict[str, Any] = {"color": "0.5", "alpha": 0.15, "linewidth": 0}
    panel.fill_between(first.x, first.mean, second.mean, **grey)
    gap = float(first.mean[-1] - second.mean[-1]) * (1 if accuracy else -1)  # below 0: the second is better
    text = f"{100 * gap:.2f} points" if accuracy else f"{gap:.3g}"
    return [Patch(**grey, label=f"gap of the {here[0].panel.value}, {text} at the end")]


def _title(here: Sequence[Line], lines: Sequence[Line]) -> str:
    """What all lines of a panel have in common; the legend has the rest."""
    algorithm, task, n = here[0].algorithm, here[0].title, max(line.n for line in here)
    if len({line.label for line in lines}) == 1:
        return f"{algorithm} on {task}, " + (f"{n} seeds" if n > 1 else f"seed {here[0].curves[0].seed[0]}")
    if len({line.algorithm for line in here}) > 1:
        return task
    alike = {line.scale for line in lines if (line.algorithm, line.title) == (algorithm, task)}
    return f"{algorithm} on {task}" + (f"\n{here[0].scale}" if len(alike - {""}) > 1 else "")


def _scale(panel: "Axes", lines: Sequence[Line], width: float) -> None:
    """From zero to the end; ticks with thousands separators, as many as `width` (inches) has room for."""
    from matplotlib.ticker import MaxNLocator

    end = max(line.x[-1] for line in lines) or 1  # 0: evaluated before training, and no more
    panel.set_xlim(-0.02 * end, 1.02 * end)
    panel.xaxis.set_major_locator(MaxNLocator(min(6, int(width * 7 / len(f"{end:,.0f}"))), steps=[1, 2, 2.5, 5, 10]))
    panel.xaxis.set_major_formatter("{x:,.10g}")
    # An outlier among the faint points may lie outside the picture, and so may the fall of a loss at its start, beside
    # which everything later would be a flat line.
    shown = [np.array([known for _, known in _references(lines)])]
    for line in lines:
        counts = line.x >= line.x[-1] * line.panel.fall
        shown += [line.low[counts], line.high[counts]]
        for x, y in ((c.x, c.y) if line.n > 1 else c.raw or (c.x, c.y) for c in line.curves):
            shown.append(np.quantile(y[x >= x[-1] * line.panel.fall], [0.01, 0.99]))
    scales.fit(panel, lines[0].panel.axis, np.concatenate(shown))


def _legend(lines: Sequence[Line], styles: dict[tuple[str, str], dict[str, Any]]) -> list["Artist"]:
    """Colours of experiments, then lines and markers of metrics, then faint points, intervals, references and notes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    experiments: dict[str, list[Line]] = {}
    for line in lines:
        experiments.setdefault(line.label, []).append(line)
    words = {line.words: styles[line.label, line.metric] for line in lines}
    handles: list[Artist] = []
    if len(experiments) > 1:
        for label, members in experiments.items():
            n = "–".join(map(str, sorted({min(line.n for line in members), max(line.n for line in members)})))
            colour = styles[label, members[0].metric]["color"]
            handles.append(Line2D([], [], color=colour, linewidth=4, label=fill(f"{label} · n={n}", 70)))
        words = {word: {**style, "color": "0.4"} for word, style in words.items()}
    handles += [Line2D([], [], linewidth=2, label=word, **style) for word, style in words.items()]
    dots: dict[str, Any] = {"color": "0.4", "marker": "o", "markersize": 3, "linestyle": "", "alpha": 0.5}
    if episodes := [line for line in lines if line.window and line.n == 1]:
        step = max(map(_every, episodes))
        handles.append(
            Line2D([], [], label="training episode" if step == 1 else f"1 of {step} training episodes", **dots)
        )
    if any(line.n > 1 for line in lines):
        handles.append(Line2D([], [], color="0.4", linewidth=0.7, marker=".", markersize=4, label="single seeds"))
    intervals = {line.interval for line in lines}
    if "seeds" in intervals:
        handles.append(
            Patch(color="0.4", alpha=0.3, linewidth=0, label="95 % bootstrap interval of the mean over seeds")
        )
    if "episodes" in intervals:
        label = "95 % interval over the episodes of an evaluation"
        handles.append(Line2D([], [], color="0.4", linestyle="", marker="|", markersize=10, label=label))
    dashed = (0, (4, 3))
    for name, known in _references(lines):
        handles.append(Line2D([], [], color="0.2", linestyle=dashed, linewidth=1, label=f"{name} {known:,.4g}"))
    notes = dict.fromkeys(note for line in lines for note in line.notes)
    return [*handles, *(Line2D([], [], linestyle="", label=note) for note in notes)]


def _write_numbers(lines: Sequence[Line], x: Axis, path: Path) -> None:
    """One row per point: the mean over n seeds, its 95 % interval (over seeds or episodes), interquartile mean."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        columns = ("mean", "ci95_low", "ci95_high", "iqm")
        table.writerow(["task", "experiment", "metric", "statistic", "n", "interval_over", x, *columns])
        for line in lines:
            name = [line.title, line.label, line.metric, line.words, line.n, line.interval]
            for row in _numbers(line):
                table.writerow([*name, *row])


def _numbers(line: Line) -> Iterator[list[str]]:
    for at, mean, low, high, iqm in zip(line.x, line.mean, line.low, line.high, line.iqm, strict=True):
        interval = (low, high) if line.interval else ("", "")
        values = (at, mean, *interval, iqm if line.n > 1 else "")
        yield [value if isinstance(value, str) else f"{value:.10g}" for value in values]
