"""Pictures of a study: its history, the price of tuning, and the importance of its settings."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgen.core.files import replacing
from rlgen.report.plots import COLOURS, COLUMN, FORMATS, PAGE, PAPER
from rlgen.report.rendering import rendered
from rlgen.sweep.analysis.held_out import Finalist
from rlgen.sweep.analysis.importance import Importance
from rlgen.sweep.analysis.outcomes import Interval, Outcomes
from rlgen.sweep.analysis.price import Price

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHORTEST = 1e-3  # CPU-seconds of a trial, on a logarithmic axis
HEIGHT = 2.6  # inches of a panel
TRIALS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)  # ticks
BLUE, ORANGE, GREEN = COLOURS[:3]


@dataclass(frozen=True)
class Words:
    """What a study calls its score."""

    title: str  # of every picture: algorithm and task
    score: str  # label of an axis, with its unit
    sign: float = 1.0  # -1 where lower is better: analyses count upwards


def save(figure: "Figure", out: Path) -> Path:
    """Write a picture, png, svg or pdf by its suffix, to `out`; returns that."""
    suffix = out.suffix[1:].lower()
    with replacing(out) as partial:
        partial.write_bytes(rendered(figure, format=suffix, dpi=200, metadata=FORMATS[suffix]))
    return out


def blank(width: float, height: float, rows: int = 1, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """A figure in the style of papers, and its panels row by row; sizes in inches."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(PAPER), warnings.catch_warnings():
        figure = Figure(figsize=(width, height), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    return figure, panels


def history(outcomes: Outcomes, finalists: Sequence[Finalist], words: Words) -> "Figure":
    """Score against number of the trial, the best one so far, and scores with fresh seeds."""
    from matplotlib.ticker import MaxNLocator

    figure, (panel,) = blank(PAGE, HEIGHT)
    numbers = np.array([trial.number for trial in outcomes.trials])
    scored, seeds = outcomes.scored, outcomes.scores.shape[1]
    scores = words.sign * outcomes.scores[scored]
    means = scores.mean(axis=1)
    label = f"mean and range of {seeds} seeds" if seeds > 1 else "one seed"
    panel.vlines(numbers[scored], scores.min(1), scores.max(1), color=BLUE, alpha=0.45, linewidth=0.8)
    panel.plot(numbers[scored], means, color=BLUE, linestyle="", marker="o", markersize=3, label=label)
    so_far = words.sign * np.maximum.accumulate(np.where(scored, outcomes.scores.mean(axis=1), -np.inf))
    reached = np.isfinite(so_far)
    panel.step(numbers[reached], so_far[reached], where="post", color="0.3", linewidth=1, label="best so far")
    _broken(panel, numbers[~scored])
    fresh = [finalist for finalist in finalists if np.isfinite(finalist.fresh.value)]
    if fresh:
        x = [finalist.number for finalist in fresh]
        count = max(finalist.seeds[1] for finalist in fresh)
        label = f"{count} fresh seeds" + (", 95 %" if np.isfinite(fresh[0].fresh.low) else "")
        bars(panel, x, [f.fresh for f in fresh], words.sign, color=ORANGE, marker="D", label=label)
    panel.set(xlabel="trial", ylabel=words.score, title=words.title)
    panel.margins(x=0.02)
    panel.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    legend(figure, panel)
    return figure


def price(price: Price, finalists: Sequence[Finalist], words: Words) -> "Figure":
    """Expected held-out score of the best trial against CPU-seconds, numbers of trials above."""
    figure, (panel,) = blank(PAGE, HEIGHT + 0.3)
    kind = "held-out seed" if price.held_out else "seed of the selection, too good"
    n = len(price.seconds)
    x = np.maximum(price.seconds, SHORTEST * np.arange(1, n + 1))
    ends = words.sign * price.low, words.sign * price.high
    panel.fill_between(x, *ends, color=BLUE, alpha=0.2, linewidth=0, label="95 % of the orders of the trials")
    panel.plot(x, words.sign * price.best, color=BLUE, linewidth=1.5, label=f"expected, {kind}")
    best = finalists[0] if finalists else None
    if best and np.isfinite(best.fresh.value):
        label = f"trial {best.number} with {best.seeds[1]} fresh seeds"
        bars(panel, [x[-1]], [best.fresh], words.sign, color=ORANGE, marker="D", label=label)
    panel.set(xscale="log", xlabel="CPU-seconds of tuning", ylabel=f"best after k trials\n({words.score})")
    panel.set_title(words.title)
    panel.xaxis.set_major_formatter("{x:,.0f}")
    _ticks_of_decades(panel, float(x[0]), float(x[-1]))
    above = panel.secondary_xaxis("top", functions=(lambda s: s / x[0], lambda k: k * x[0]))
    ticks = [k for k in TRIALS if k <= n]
    above.set_xticks(ticks, [f"{k:,}" for k in ticks])
    above.set_xticks([], minor=True)
    above.set_xlabel("k trials", fontsize=PAPER["axes.labelsize"])
    above.tick_params(labelsize=PAPER["xtick.labelsize"])
    legend(figure, panel)
    return figure


def importance(found: Importance, words: Words) -> "Figure":
    """A bar per setting with its interval."""
    figure, (panel,) = blank(COLUMN + 1, 1 + 0.25 * len(found.settings))
    barred(panel, [(name, value) for name, value in found.settings], 1.0)
    panel.set_xlabel(
        "rise of the squared error of prediction when the setting\nis shuffled (share of the variance), 95 %"
    )
    panel.set_title(f"{words.title}\n{100 * max(0, found.explained):.0f} % of the variance explained", loc="left")
    return figure


def barred(panel: "Axes", rows: Sequence[tuple[str, Interval]], sign: float) -> None:
    """Horizontal bars with intervals, the first one at the top."""
    y = np.arange(len(rows))
    values = sign * np.array([value.value for _, value in rows])
    panel.barh(y, values, color=BLUE, alpha=0.6, height=0.6)
    for place, (_, value) in enumerate(rows):
        panel.plot([sign * value.low, sign * value.high], [place, place], color="0.2", linewidth=1)
    panel.axvline(0, color="0.4", linewidth=0.8)
    panel.set_yticks(y, [name for name, _ in rows])
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.grid(axis="y", visible=False)


def bars(panel: "Axes", x: Sequence[float], values: Sequence[Interval], sign: float, **style: Any) -> None:
    """Points with their intervals, where they have one."""
    panel.plot(x, [sign * value.value for value in values], linestyle="", markersize=4, zorder=3, **style)
    for at, value in zip(x, values, strict=True):
        if np.isfinite(value.low):
            panel.vlines(at, sign * value.low, sign * value.high, color=style["color"], linewidth=1.2, zorder=3)


def legend(figure: "Figure", panel: "Axes") -> None:
    """The entries of a panel in a line below it."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=PAPER["legend.fontsize"]
    )


def _broken(panel: "Axes", numbers: Any) -> None:
    """Crosses at the bottom for trials without a score."""
    if len(numbers):
        label = "failed, diverged or pruned"
        panel.plot(
            numbers, np.full(len(numbers), 0.03), color=COLOURS[1], linestyle="", marker="x", markersize=4,
            transform=panel.get_xaxis_transform(), clip_on=False, label=label,
        )  # fmt: skip


def _ticks_of_decades(panel: "Axes", low: float, high: float) -> None:
    """Ticks at 1, 2 and 5 times a power of ten, of which three at least lie in sight."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if low * 0.9 <= tick <= high * 1.1]
    panel.set_xticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    panel.set_xticks([], minor=True)
