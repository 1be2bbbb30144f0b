"""The legend of learning curves: experiments with their number of seeds, metrics, intervals, known values, notes."""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgen.report.lines import Line

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

LETTERS = 18  # of a legend, in an inch
MARK = 7  # letters in the width of a line or marker and the space beside it
ROW = 0.17  # inches of a line of the legend
DASHES = ((4, 3), (1, 1.5), (7, 2, 1, 2), (7, 2), (4, 1, 1, 1, 1, 1))  # of known values, in points
Styles = Mapping[tuple[str, str], dict[str, Any]]  # by label of the experiment and metric


def entries(
    lines: Sequence[Line], styles: Styles, steps: int, outside: Mapping[tuple[str, float], str]
) -> list["Artist"]:
    """Entries for all lines of a figure: every one of `steps` episodes is drawn, references `outside` are named so."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    labels: dict[str, list[Line]] = {}
    for line in lines:
        labels.setdefault(line.label, []).append(line)
    words = {_words(line, len(labels) > 1): styles[line.label, line.metric] for line in lines}
    found: list[Artist] = []
    if len(labels) > 1:
        for label, members in labels.items():
            colour = styles[label, members[0].metric]["color"]
            found.append(Line2D([], [], color=colour, linewidth=3, label=f"{label} (n={_n(members)})"))
        words = {word: {**style, "color": "0.4"} for word, style in words.items()}
    found += [Line2D([], [], linewidth=1.5, label=word, **style) for word, style in words.items()]
    if any(line.window and line.n == 1 for line in lines):
        label = "training episode" if steps == 1 else f"1 of {steps} training episodes"
        found.append(Line2D([], [], color="0.4", marker="o", markersize=2.5, linestyle="", alpha=0.5, label=label))
    if any(line.n > 1 for line in lines):
        found.append(Line2D([], [], color="0.4", linewidth=0.6, marker=".", markersize=3, label="single seeds"))
    for line in {line.interval: line for line in lines if line.interval}.values():
        if line.interval == "seeds":
            middle = "interquartile mean" if line.band == "iqm" else "mean"
            found.append(Patch(color="0.4", alpha=0.3, linewidth=0, label=f"95 % bootstrap interval of the {middle}"))
        else:
            label = "95 % interval over the episodes of an evaluation"
            found.append(Line2D([], [], color="0.4", linestyle="", marker="|", markersize=7, label=label))
    for known in references(lines):
        where = f", {outside[known]}" if known in outside else ""
        found.append(Line2D([], [], label=f"{known[0]} {known[1]:,.4g}{where}", **known_style(lines, known)))
    notes = dict.fromkeys(note for line in lines for note in line.notes)
    return [*found, *(Line2D([], [], linestyle="", label=note) for note in notes)]


def place(figure: "Figure", handles: Sequence["Artist"]) -> None:
    """Put the legend below all panels of `figure`, in as many columns as fit, and make room for it."""
    room = int(figure.get_figwidth() * LETTERS)
    for handle in handles:
        handle.set_label(fill(str(handle.get_label()), room - MARK, break_long_words=True))
    texts = [str(handle.get_label()).split("\n") for handle in handles]
    widths = np.array([max(map(len, text)) + MARK for text in texts])
    fits = (n for n in range(len(handles), 1, -1) if sum(part.max() for part in np.array_split(widths, n)) <= room)
    columns = next(fits, 1)
    tallest = max(part.sum() for part in np.array_split(np.array([len(text) for text in texts]), columns))
    figure.set_figheight(figure.get_figheight() + ROW * (tallest + 1))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def references(lines: Iterable[Line]) -> list[tuple[str, float]]:
    """Known values to compare with, each once."""
    return list(dict.fromkeys(reference for line in lines for reference in line.references))


def known_style(lines: Iterable[Line], known: tuple[str, float]) -> dict[str, Any]:
    """The style of a known value, another one for each of the figure with `lines`."""
    dashes = DASHES[references(lines).index(known) % len(DASHES)]
    return {"color": "0.2", "linestyle": (0, dashes), "linewidth": 0.8}


def _words(line: Line, several: bool) -> str:
    """The metric and its statistic, with the number of seeds unless that stands beside the experiment."""
    return f"{line.words} (n={line.n})" if line.n > 1 and not several else line.words


def _n(members: Sequence[Line]) -> str:
    return "–".join(map(str, sorted({min(line.n for line in members), max(line.n for line in members)})))
