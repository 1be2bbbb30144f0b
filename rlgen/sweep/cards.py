"""Pictures of the settings of a study: parallel coordinates, and the sensitivity card."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlgen.report.plots import NARROWEST, PAGE, PAPER
from rlgen.report.statistics import Floats
from rlgen.sweep.analysis.outcomes import Outcomes
from rlgen.sweep.analysis.sensitivity import Sensitivity, Slice
from rlgen.sweep.analysis.settings import Setting
from rlgen.sweep.pictures import BLUE, ORANGE, Words, barred, blank
from rlgen.sweep.space import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLICES = 8  # panels of the sensitivity card, at most: those of the deepest falls
AXES = 9  # settings in a picture of parallel coordinates, at most
BEST = 3  # trials that are drawn bold
FAN = 0.9  # width of the fan of seeds, as a share of the distance between two axes
TICKS = 5  # of an axis of a setting, at most


def parallel(outcomes: Outcomes, settings: Sequence[Setting], words: Words) -> "Figure":
    """A line per trial through its settings to its score; behind the last axis the range of its seeds."""
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    drawn = settings[:AXES]
    scored = outcomes.scored
    means = words.sign * np.where(scored, outcomes.scores.mean(axis=1), np.nan)  # (n,)
    low, high = _limits(words.sign * outcomes.scores[scored])
    last = len(drawn)
    figure, (panel,) = blank(PAGE, 3.1)
    shown = means[scored]
    norm = Normalize(shown.min(), shown.max() if shown.max() > shown.min() else shown.min() + 1)
    colours = ScalarMappable(norm, matplotlib.colormaps["viridis_r" if words.sign < 0 else "viridis"])
    order = np.argsort(np.where(scored, words.sign * means, -np.inf), kind="stable")  # the best one on top
    kept = int(scored.sum())
    for place, i in enumerate(order):
        row = outcomes.trials[i].settings
        heights = [_height(setting, row[setting.name]) for setting in drawn]
        if not scored[i]:
            style: dict[str, Any] = {"color": "0.6", "linestyle": ":", "linewidth": 0.7}
            panel.plot(range(last), heights, **style)
            continue
        colour = colours.to_rgba(means[i])
        bold = place >= len(order) - BEST
        heights.append((means[i] - low) / (high - low))
        style = {"color": colour, "linewidth": 1.6 if bold else 0.7, "alpha": 1 if bold else 0.6}
        panel.plot(range(last + 1), heights, **style)
        at = last + FAN * (1 + place - (len(order) - kept)) / kept
        seeds = (words.sign * outcomes.scores[i] - low) / (high - low)
        panel.vlines(at, seeds.min(), seeds.max(), color=colour, linewidth=1.2)
        panel.plot([at], [seeds.mean()], color=colour, marker="o", markersize=2.2)
    for place, setting in enumerate(drawn):
        _axis(panel, place, *_ticks(setting))
    _axis(panel, last, *_linear_ticks(low, high))
    count = outcomes.scores.shape[1]
    fan = f"\nright: mean and range of {count} seeds" if count > 1 else ""
    panel.set_xticks(range(last + 1), [*(setting.name for setting in drawn), words.score + fan])
    panel.tick_params(axis="x", length=0, labelsize=PAPER["axes.labelsize"], pad=6)
    panel.set(xlim=(-0.35, last + 1), ylim=(-0.04, 1.04), yticks=[], title=words.title)
    panel.grid(visible=False)
    panel.spines[["left", "bottom"]].set_visible(False)
    if not scored.all():
        figure.text(0.01, 0.01, "dotted: failed, diverged or pruned", fontsize=PAPER["legend.fontsize"], color="0.3")
    return figure


def sensitivity(found: Sensitivity, outcomes: Outcomes, words: Words) -> "Figure":
    """A panel per setting with the score along it, and one with the falls, per setting and together."""
    drawn = found.slices[:SLICES]
    columns = 2 if len(drawn) == 3 else min(len(drawn) + 1, int(PAGE / NARROWEST))
    rows = -(-(len(drawn) + 1) // columns)
    figure, panels = blank(PAGE, 2.1 * rows + 0.5, rows, columns)
    for panel in panels[len(drawn) + 1 :]:
        panel.remove()
    low, high = _limits(np.concatenate([words.sign * np.stack([s.low, s.high]).flatten() for s in drawn]))
    room = 0.15 * (high - low)
    for panel, along in zip(panels, drawn, strict=False):
        _slice(panel, along, outcomes, words)
        panel.set_ylim(low - room, high + room)
        panel.set_xlabel(along.setting.name)
    for panel in panels[: len(drawn) : columns]:
        panel.set_ylabel(words.score)
    falls = [(along.setting.name, along.fall) for along in found.slices[:SLICES]]
    barred(panels[len(drawn)], [*falls, ("together", found.together)], 1.0)
    panels[len(drawn)].set_xlabel("fall from the best setting, 95 %")
    figure.suptitle(words.title)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=PAPER["legend.fontsize"]
    )
    return figure


def _slice(panel: "Axes", along: Slice, outcomes: Outcomes, words: Words) -> None:
    """The expected score along a setting, its interval, single trials and the best value."""
    setting, sign = along.setting, words.sign
    x = _places(setting, setting.values)
    places = _places(setting, [trial.settings[setting.name] for trial in outcomes.trials])
    means = sign * outcomes.scores.mean(axis=1)
    panel.plot(places, means, color="0.5", linestyle="", marker=".", markersize=3, alpha=0.5, label="trials")
    broken = ~outcomes.scored
    panel.plot(
        places[broken], np.full(broken.sum(), 0.03), color=ORANGE, linestyle="", marker="x", markersize=3,
        transform=panel.get_xaxis_transform(), label="failed, diverged or pruned" if broken.any() else "",
    )  # fmt: skip
    panel.plot(x, sign * along.centre, color=BLUE, marker="" if len(x) > 10 else "o", markersize=3, label="expected")
    panel.fill_between(x, sign * along.low, sign * along.high, color=BLUE, alpha=0.2, linewidth=0, label="95 %")
    panel.axvline(_places(setting, [along.best])[0], color=ORANGE, linestyle="--", linewidth=1, label="best trial")
    if setting.is_log:
        panel.set_xscale("log")
        inner = _powers(x[0], x[-1])
        panel.set_xticks(inner, [_text(tick) for tick in inner])
        panel.set_xticks([], minor=True)
    elif not setting.is_number:
        panel.set_xticks(x, [_text(value) for value in setting.values])
        panel.set_xlim(-0.4, len(x) - 0.6)
    elif len(x) <= TICKS:
        panel.set_xticks(x, [_text(value) for value in setting.values])


def _places(setting: Setting, values: Sequence[Value]) -> Floats:
    """Where values lie on the horizontal axis: numbers as they are, others one after the other."""
    return np.array([value if setting.is_number else setting.values.index(value) for value in values], np.float64)


def _height(setting: Setting, value: Value) -> float:
    """Where a value lies on its axis, from 0 to 1."""
    if setting.is_number:
        return float(setting.columns([value])[0, 0])
    return setting.values.index(value) / (len(setting.values) - 1)


def _ticks(setting: Setting) -> tuple[list[float], list[str]]:
    """Heights and labels of the ticks of a setting."""
    values = setting.values
    if setting.is_number and len(values) > TICKS:
        low, high = _places(setting, [values[0], values[-1]])
        if not setting.is_log:
            return _linear_ticks(low, high)
        values = tuple(_powers(low, high))
    return [_height(setting, value) for value in values], [_text(value) for value in values]


def _powers(low: float, high: float) -> list[float]:
    """Powers of ten from `low` to `high`; with both ends, rounded, where there is one alone."""
    powers = range(int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9)) + 1)
    inner = [10.0**power for power in powers]
    return inner if len(inner) > 1 else [low, *(p for p in inner if low * 2 < p < high / 2), high]


def _linear_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    from matplotlib.ticker import MaxNLocator

    ticks = [float(t) for t in MaxNLocator(TICKS).tick_values(low, high) if low - 1e-9 <= t <= high + 1e-9]
    return [(tick - low) / (high - low) for tick in ticks], [f"{tick:,.6g}".replace("-", "−") for tick in ticks]


def _axis(panel: "Axes", place: float, heights: Sequence[float], labels: Sequence[str]) -> None:
    """A vertical axis with its ticks, labels on the left on a white ground."""
    panel.plot([place, place], [0, 1], color="0.3", linewidth=0.8, zorder=2.5)
    for height, label in zip(heights, labels, strict=True):
        panel.plot([place - 0.02, place], [height, height], color="0.3", linewidth=0.8, zorder=2.5)
        panel.annotate(
            label, (place - 0.035, height), ha="right", va="center", fontsize=PAPER["xtick.labelsize"], color="0.2",
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.4}, zorder=4,
        )  # fmt: skip


def _limits(values: Floats) -> tuple[float, float]:
    """The lowest and the highest value, never the same."""
    low, high = float(np.min(values)), float(np.max(values))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,.3g}" if isinstance(value, float) else "none" if value is None else str(value)
