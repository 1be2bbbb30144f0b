"""Pictures of an episode with its values: the frame, Q of each action, and V(s) against the return that followed.

Shapes: T steps, A actions, K atoms or quantiles. Pillow alone, so that a film is drawn faster than it is played.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rlgen.report.pictures import fitting, font
from rlgen.report.saved_grids import Pixels

if TYPE_CHECKING:
    from rlgen.agents.episode import Episode

PAPER, PANEL, LINE, INK, FAINT = "#15181d", "#1c2027", "#343b46", "#e8ebf0", "#98a2b0"
VALUE, RETURN, TAKEN, OTHER = "#58aaeb", "#f0a04b", "#58aaeb", "#5b6675"
FRAME = 320  # pixels: frames are enlarged or reduced by a whole number to about this width
GAP, TEXT, BARS, CURVE = 10, 12, 330, 150  # pixels: between parts, letters, width of the bars, height of the curves
ROW = 72  # pixels: height of an action at most


class Thinking:
    """Draws one episode, frame by frame. `title` stands above it, `names` are those of the A actions.

    `beside` puts the bars to the right of the frame; otherwise below it, for several episodes next to each other.
    """

    def __init__(self, episode: Episode, names: Sequence[str], title: str, shape: tuple[int, ...], beside: bool = True):
        self.episode, self.names, self.title = episode, names, title
        self.enlarged = max(1, FRAME // shape[1]) if shape[1] < FRAME else 1
        self.reduced = max(1, round(shape[1] / FRAME))
        width = shape[1] * self.enlarged // self.reduced
        height = -(-shape[0] * self.enlarged // self.reduced)
        row = 18 if _spread(episode) is None else 44
        bars = max(60, min(max(height, 200), row * len(names)))
        top = GAP + round(1.8 * TEXT)
        if beside:
            size = (width + BARS + 3 * GAP, top + max(height, bars) + CURVE + 3 * GAP + 18)
            bars = max(height, bars)
            self.bars = (width + 2 * GAP, top, width + 2 * GAP + BARS, top + bars)
        else:
            width = max(width, BARS)
            size = (width + 2 * GAP, top + height + bars + CURVE + 4 * GAP + 18)
            self.bars = (GAP, top + height + GAP, GAP + width, top + height + GAP + bars)
        self.place = (GAP, top)
        bottom = size[1] - GAP - 18
        self.curve = (GAP, bottom - CURVE, size[0] - GAP, bottom)
        self.range = _range(episode)
        self.background = self._background(size)

    def draw(self, t: int, frame: Pixels) -> Pixels:
        """The picture (H, W, 3) of step t, from 0 to T: after the last step a frame without values."""
        episode, picture = self.episode, self.background.copy()
        t = min(t, len(episode))
        shown = Image.fromarray(frame)
        if self.reduced > 1:
            shown = shown.reduce(self.reduced)
        elif self.enlarged > 1:
            shown = shown.resize((shown.width * self.enlarged, shown.height * self.enlarged), Image.Resampling.NEAREST)
        picture.paste(shown, self.place)
        pen = ImageDraw.Draw(picture)
        score = float(episode.rewards[:t].sum())
        step = f"step {t}   return {score:,.6g}"
        pen.text((picture.width - GAP, GAP + 6), step, INK, font(TEXT), "rm")
        if t < len(episode):
            self._values(pen, t)
        else:
            end = "time limit" if episode.truncated else "end of the episode" if episode.terminated else "cut here"
            pen.text(((self.bars[0] + self.bars[2]) / 2, self.bars[1] + 24), end, FAINT, font(TEXT), "mm")
        x, y = self._to(min(t, len(episode) - 1), episode.v[min(t, len(episode) - 1)])
        pen.line((x, self.curve[1] + 20, x, self.curve[3] - 16), FAINT)
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), VALUE)
        return np.asarray(picture)

    def _values(self, pen: ImageDraw.ImageDraw, t: int) -> None:
        """Bars of Q(s, a), or a histogram (C51) or steps (quantiles) of the return of each action."""
        episode, (left, top, right, bottom) = self.episode, self.bars
        q, spread = episode.q[t], _spread(episode)
        names = max(font(TEXT).getlength(name) for name in self.names)
        start, end = left + 8 + min(names, 110) + 8, right - 104
        height = min(ROW, (bottom - top) / len(q))
        low, high = self.range[2:] if spread is not None else (min(0.0, self.range[2]), max(0.0, self.range[3]))
        letters = min(TEXT, height * 0.75)

        def x(value: Any) -> Any:
            return start + (end - start) * (np.clip(value, low, high) - low) / (high - low)

        for action, (name, value) in enumerate(zip(self.names, q.tolist(), strict=True)):
            middle, taken = top + (action + 0.5) * height, action == episode.actions[t]
            colour = TAKEN if taken else OTHER
            pen.text((start - 8, middle), fitting(name, letters, 110), INK if taken else FAINT, font(letters), "rm")
            if not np.isfinite(value):
                pen.text((start, middle), "not allowed", FAINT, font(letters), "lm")
                continue
            floor = top + (action + 1) * height - 3
            if episode.probabilities is not None and episode.atoms is not None:
                _histogram(pen, x(episode.atoms), episode.probabilities[t, action], floor, height - 8, colour)
            elif episode.quantiles is not None:
                _steps(pen, x(np.sort(episode.quantiles[t, action])), floor, height - 8, x(high), colour)
            else:
                half = min(9.0, 0.36 * height)
                ends = sorted((x(0.0), x(value)))
                pen.rectangle((ends[0], middle - half, max(ends[1], ends[0] + 1), middle + half), colour)
            if spread is not None:
                pen.line((x(value), top + action * height + 3, x(value), floor), INK)
            pen.text((end + 8, middle), _number(value), INK if taken else FAINT, font(letters), "lm")
            if value < q.max():
                lost = f"-{_number(float(q.max()) - value)}"
                pen.text((right - 6, middle), lost, FAINT, font(0.85 * letters), "rm")

    def _background(self, size: tuple[int, int]) -> Image.Image:
        """Everything that does not change from frame to frame."""
        episode, picture = self.episode, Image.new("RGB", size, PAPER)
        pen = ImageDraw.Draw(picture)
        pen.text((GAP, GAP + 6), fitting(self.title, TEXT, size[0] - 190), INK, font(TEXT), "lm")
        for box in (self.bars, self.curve):
            pen.rectangle(box, PANEL)
        left, top, right, bottom = self.curve
        for value in self.range[:2]:
            y = self._to(0, value)[1]
            pen.line((left + 44, y, right - 8, y), LINE)
            pen.text((left + 40, y), _number(value), FAINT, font(10), "rm")
        pen.text((right - 8, bottom - 8), f"{len(episode)} steps", FAINT, font(10), "rm")
        lines = [("V(s)", VALUE, episode.v, False), ("return that followed", RETURN, episode.returns, False)]
        if episode.tail.any():
            lines.append(("+ V of the last state", RETURN, episode.returns + episode.tail, True))
        at = left + 8.0
        for label, colour, values, dashed in lines:
            points = [self._to(t, value) for t, value in enumerate(values.tolist())]
            if dashed:
                dash = max(1, round(4 * len(points) / (right - left)))  # steps
                for start in range(0, len(points), 2 * dash):
                    pen.line(points[start : start + dash + 1], colour)
            elif len(points) > 1:
                pen.line(points, colour, 2)
            pen.line((at, top + 10, at + 14, top + 10), colour, 1 if dashed else 2)
            pen.text((at + 18, top + 10), label, FAINT, font(10), "lm")
            at += 26 + font(10).getlength(label)
        pen.text(
            (GAP, size[1] - 14), fitting(f"Q and V: {episode.units}", 10, size[0] - 2 * GAP), FAINT, font(10), "lm"
        )
        return picture

    def _to(self, t: int, value: float) -> tuple[float, float]:
        """Pixel of a value at a step in the curves."""
        left, top, right, bottom = self.curve
        low, high = self.range[:2]
        x = left + 44 + (right - left - 52) * t / max(1, len(self.episode) - 1)
        return x, bottom - 16 - (bottom - top - 40) * (value - low) / (high - low)


def side_by_side(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures (H, W, 3) next to each other, all as high as the highest."""
    height = max(len(picture) for picture in pictures)
    paper = np.array(Image.new("RGB", (1, 1), PAPER))
    sheet = [np.concatenate([p, np.tile(paper, (height - len(p), p.shape[1], 1))]) for p in pictures]
    return np.concatenate(sheet, 1)


def _spread(episode: Episode) -> NDArray[Any] | None:
    return episode.probabilities if episode.probabilities is not None else episode.quantiles


def _range(episode: Episode) -> tuple[float, float, float, float]:
    """Lowest and highest value of the curves, and of the bars: of the returns with some probability."""
    curves = np.concatenate([episode.v, episode.returns, episode.returns + episode.tail])
    q = episode.q[np.isfinite(episode.q)]
    if episode.probabilities is not None and episode.atoms is not None:
        q = episode.atoms[episode.probabilities.max((0, 1)) > 0.01]
    elif episode.quantiles is not None:
        q = episode.quantiles
    ranges = []
    for values in (curves, q):
        low, high = float(values.min()), float(values.max())
        ranges += [low, high] if high - low > 1e-6 else [low - 0.5, high + 0.5]
    return ranges[0], ranges[1], ranges[2], ranges[3]


def _histogram(
    pen: ImageDraw.ImageDraw, x: NDArray[Any], p: NDArray[Any], floor: float, height: float, colour: str
) -> None:
    """Probabilities (K,) over atoms at the pixels x (K,), scaled to the largest of them."""
    half = max(0.5, (x[-1] - x[0]) / (len(x) - 1) * 0.45) if len(x) > 1 else 4.0
    for at, tall in zip(x.tolist(), (p / max(p.max(), 1e-9) * height).tolist(), strict=True):
        if tall >= 0.5:
            pen.rectangle((at - half, floor - tall, at + half, floor), colour)


def _steps(pen: ImageDraw.ImageDraw, x: NDArray[Any], floor: float, height: float, right: float, colour: str) -> None:
    """The distribution function of K equally likely returns at the pixels x (K,), in steps of 1 / K."""
    points, k = [(float(x[0]), floor)], len(x)
    for i, at in enumerate(x.tolist()):
        points += [(at, floor - height * i / k), (at, floor - height * (i + 1) / k)]
    pen.line([*points, (float(right), floor - height)], colour, 2)


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:.2e}"
