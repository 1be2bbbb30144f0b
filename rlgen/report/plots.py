"""Learning curves as pictures a person takes in at a glance.

Matplotlib is imported where it draws, through its objects: no window, no pyplot, no settings left behind.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgen.catalog import MODEL
from rlgen.core.errors import UserError
from rlgen.core.files import replacing
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
# Okabe and Ito's colours, which the colour-blind can tell apart; with markers out of step, 42 pairs before one returns.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP"
DASHES = ("-", "--", ":", "-.")
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
    """Draw runs into one picture. Its suffix says which: png, svg, pdf, or csv for the numbers in it."""
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
    """A panel per task, a colour per experiment (or per metric, of a single one), and one legend below the data."""
    from matplotlib.figure import Figure

    tasks = list(dict.fromkeys(line.task for line in lines))
    columns = min(len(tasks), 3)
    rows = -(-len(tasks) // columns)
    picture = Figure(figsize=(8, 5) if columns == 1 else (4.6 * columns, 3.6 * rows + 0.5), layout="constrained")
    panels = picture.subplots(rows, columns, squeeze=False).flatten().tolist()
    for panel in panels[len(tasks) :]:
        panel.remove()
    looks = _looks(lines)
    for task, panel in zip(tasks, panels, strict=False):
        here = [line for line in lines if line.task == task]
        for line in here:
            _draw(panel, line, looks[line.label, line.metric])
        panel.set_title(_title(here, lines))
        panel.set_xlabel("seconds of training" if x == "seconds" else here[0].kind.time)
        panel.set_ylabel(here[0].kind.value)
        _scale(panel, here, picture.get_figwidth() / columns)
    handles = _legend(lines, looks)
    widths = np.array([max(map(len, str(handle.get_label()).split("\n"))) + 6 for handle in handles])  # in letters
    room = picture.get_figwidth() * 13
    fits = (n for n in range(len(handles), 1, -1) if sum(part.max() for part in np.array_split(widths, n)) <= room)
    picture.legend(handles=handles, loc="outside lower center", ncols=next(fits, 1))
    return picture


def _looks(lines: Sequence[Line]) -> dict[tuple[str, str], dict[str, Any]]:
    """How each metric of each experiment is drawn."""
    labels = list(dict.fromkeys(line.label for line in lines))
    metrics = list(dict.fromkeys(line.metric for line in lines))
    looks = {}
    for line in lines:
        metric = metrics.index(line.metric)
        index = metric if len(labels) == 1 else labels.index(line.label)
        looks[line.label, line.metric] = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": MARKERS[index % len(MARKERS)] if line.is_evaluation or len(line.x) == 1 else "",
            "linestyle": "" if line.is_evaluation else "-" if len(labels) == 1 else DASHES[metric % len(DASHES)],
        }
    return looks


def _draw(panel: "Axes", line: Line, look: dict[str, Any]) -> None:
    colour = look["color"]
    if line.raw is not None and not line.is_evaluation:
        panel.plot(line.x, line.raw, color=colour, alpha=0.25, linewidth=1)
    panel.plot(line.x, line.middle, linewidth=2, label=f"{line.label} {line.words}", **look)
    if line.is_evaluation:
        panel.vlines(line.x, line.low, line.high, color=colour, linewidth=1.5)
        panel.plot(line.x, line.middle, color=colour, alpha=0.4, linewidth=1)
    elif line.n > 1:
        panel.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)


def _title(here: Sequence[Line], lines: Sequence[Line]) -> str:
    """What a panel shows, as far as all lines agree on it; the legend says the rest."""
    algorithm, task, n = here[0].algorithm, here[0].task, max(line.n for line in here)
    if len({line.label for line in lines}) == 1:
        return f"{algorithm} on {task}, " + (f"{n} seeds" if n > 1 else f"seed {here[0].seed}")
    return f"{algorithm} on {task}" if len({line.algorithm for line in lines}) == 1 else task


def _scale(panel: "Axes", lines: Sequence[Line], width: float) -> None:
    """From zero to the end; ticks with thousands separators, as many as `width` (inches) has room for."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    end = max(line.x[-1] for line in lines) or 1  # 0: evaluated before training, and no more
    panel.set_xlim(-0.02 * end, 1.02 * end)
    panel.xaxis.set_major_locator(MaxNLocator(min(6, int(width * 7 / len(f"{end:,.0f}"))), steps=[1, 2, 2.5, 5, 10]))
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    # An outlier among the faint points may lie outside the picture, and so may a model's fall from knowing nothing:
    # beside that, all it learned later would be a flat line.
    shown = []
    for line in lines:
        counts = line.x >= (line.x[-1] / 10 if line.kind is MODEL else 0)
        shown += [line.low[counts], line.high[counts]]
        if line.raw is not None:
            shown.append(np.quantile(line.raw[counts], [0.01, 0.99]))
    low, high = np.concatenate(shown).min(), np.concatenate(shown).max()
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1
    panel.set_ylim(low - margin, high + margin)


def _legend(lines: Sequence[Line], looks: dict[tuple[str, str], dict[str, Any]]) -> list["Artist"]:
    """Which colour is which experiment, then what is a line and what a point, then what the band is."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    experiments: dict[str, list[Line]] = {}
    for line in lines:
        experiments.setdefault(line.label, []).append(line)
    words = {line.words: looks[line.label, line.metric] for line in lines}
    handles: list[Artist] = []
    if len(experiments) > 1:
        for label, members in experiments.items():
            n = "–".join(map(str, sorted({min(line.n for line in members), max(line.n for line in members)})))
            colour = looks[label, members[0].metric]["color"]
            handles.append(Line2D([], [], color=colour, linewidth=4, label=fill(f"{label} · n={n}", 70)))
        words = {word: {**look, "color": "0.4"} for word, look in words.items()} if len(words) > 1 else {}
    handles += [Line2D([], [], linewidth=2, label=word, **look) for word, look in words.items()]
    several = {line.n >= 4 for line in lines if line.n > 1}
    if several:
        middle = (
            "mean (interquartile for n ≥ 4)"
            if len(several) > 1
            else "interquartile mean"
            if True in several
            else "mean"
        )
        handles.append(Patch(color="0.4", alpha=0.3, linewidth=0, label=f"95 % bootstrap band of the {middle}"))
    if any(line.held for line in lines):
        handles.append(Line2D([], [], linestyle="", label="seeds solved early keep their last value"))
    return handles


def _write_numbers(lines: Sequence[Line], x: Axis, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["task", "experiment", "metric", "n", x, "middle", "low", "high"])
        for line in lines:
            for row in zip(line.x, line.middle, line.low, line.high, strict=True):
                table.writerow([line.task, line.label, line.metric, line.n, *map("{:.10g}".format, row)])
