"""The picture of a learning-rate range test: loss against learning rate, with the suggestions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlgen.core.files import replacing
from rlgen.report.plots import COLOURS, STYLE
from rlgen.report.rendering import rendered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADROOM = 0.15  # of the vertical axis, as a share of the fall of the smoothed losses


def draw(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Mapping[str, float],
    title: str,
    out: Path,
) -> None:
    """Write the losses, the smoothed losses and the `marks`, learning rates by name, to the file `out`."""
    made = figure(rates, losses, smoothed, marks, title)
    with replacing(out) as partial:
        partial.write_bytes(rendered(made, format=out.suffix[1:] or "png"))


def figure(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Mapping[str, float],
    title: str,
) -> "Figure":
    """Loss against learning rate on a logarithmic axis, with a line per mark."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        made = Figure(figsize=(7, 4.5), layout="constrained")
        axes = made.subplots()
        axes.plot(rates, losses, color=COLOURS[0], alpha=0.35, linewidth=1, label="loss of the minibatch")
        axes.plot(rates, smoothed, color=COLOURS[0], label="smoothed")
        for (name, rate), colour in zip(marks.items(), COLOURS[1:], strict=False):
            axes.axvline(rate, color=colour, linestyle="--", label=f"{name} {rate:.2g}")
        low = min(smoothed)
        high = max(smoothed[: list(smoothed).index(low) + 1])  # not after the fall, where the loss explodes
        room = HEADROOM * (high - low or 1.0)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title=title, ylim=(low - room, high + 2 * room))
        axes.legend()
    return made
