"""Arrays of pixels as pictures: grids of samples, how they evolved, and animations. Pillow alone, no ffmpeg.

Pixels are uint8: (H, W) in greys or (H, W, 3) in colours.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rlgen.core.errors import UserError
from rlgen.core.files import replacing

if TYPE_CHECKING:
    from rlgen.core.images import Grid

Pixels = NDArray[np.uint8]

WIDTH = 400  # pixels: grids narrower than this are enlarged
GAP = 40  # the grey between the cells of a grid, so that black digits on black stay apart
BAR, INK = 24, 255  # greys of a caption: white on nearly black
ROWS = 8  # of a picture of an evolution
FRAMES = 60  # of an animation of one, at most


def grid(images: Pixels, columns: int = 8, padding: int = 2) -> Pixels:
    """Images (N, H, W) or (N, H, W, 3) in rows of `columns`, enlarged by a whole number to a width that can be seen."""
    n, height, width = images.shape[:3]
    if not n:
        raise ValueError("a grid of no images")
    columns = min(columns, n)
    rows = -(-n // columns)
    tall, wide = height + padding, width + padding
    picture = np.full((rows * tall + padding, columns * wide + padding, *images.shape[3:]), GAP, np.uint8)
    for i, image in enumerate(images):
        y, x = padding + i // columns * tall, padding + i % columns * wide
        picture[y : y + height, x : x + width] = image
    scale = -(-WIDTH // picture.shape[1])
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def draw(grid_: "Grid") -> Pixels:
    """A grid of images (N, C, H, W) in [0, 1] as a picture."""
    from rlgen.core.images import to_bytes  # which imports torch

    pixels: Pixels = to_bytes(grid_.images).permute(0, 2, 3, 1).cpu().numpy()
    return grid(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, grid_.columns)


def write_png(picture: Pixels, path: Path) -> None:
    """Write a picture, whole or not at all."""
    with replacing(path) as partial:
        Image.fromarray(picture).save(partial, format="png")


def gif(frames: Iterable[Pixels], path: Path, fps: float = 30, hold: float = 0) -> None:
    """Write an animation that loops, its last frame held for `hold` seconds more. Frames are of one size.

    A GIF counts in hundredths of a second, and players slow down what is shorter than two: 50 frames a second at most.
    """
    images = [_indexed(frame) for frame in frames]
    if not images:
        raise ValueError("an animation of no frames")
    if len({image.size for image in images}) > 1:
        raise ValueError("the frames of an animation differ in size")
    durations = [10 * max(2, round(100 / fps))] * len(images)
    durations[-1] += round(1000 * hold)
    with replacing(path) as partial:
        images[0].save(partial, format="gif", save_all=True, append_images=images[1:], duration=durations, loop=0)


def caption(frame: Pixels, text: str) -> Pixels:
    """The frame with a line of text in a dark bar below it, as large as its width allows."""
    height, width = frame.shape[:2]
    bar = max(20, height // 14)
    size = bar * 0.6
    size *= min(1, (width - bar / 2) / max(1, _font(size).getlength(text)))
    below = Image.new("L", (width, bar), BAR)
    ImageDraw.Draw(below).text((bar / 4, bar / 2), text, fill=INK, font=_font(size), anchor="lm")
    grey = np.asarray(below)
    return np.concatenate([frame, grey if frame.ndim == 2 else np.stack([grey] * 3, axis=-1)])


def evolution(samples: Path, png: Path, gif_: Path, columns: int = 8, unit: str = "images") -> None:
    """From the grids in `samples`, named by time: their first rows one under the other, and an animation of them all.

    Grids of a run start from the same noise, so a column shows one image while it forms. `columns` is as in `grid`.
    """
    paths = dict(sorted((int(path.stem), path) for path in samples.glob("*.png") if path.stem.isdigit()))
    if not paths:
        raise UserError(f"{samples} has no samples yet: they are drawn at each evaluation")
    # Most happens early, so the rows of the picture are spread evenly over the logarithm of time.
    rows = []
    for time in _spread(list(paths), ROWS, np.geomspace):
        picture = _read(paths[time])
        rows.append(_labelled(picture[: round(picture.shape[1] / columns)], _short(time)))
    write_png(np.concatenate(rows), png)
    frames = (caption(_read(paths[time]), f"{time:,} {unit}") for time in _spread(list(paths), FRAMES, np.linspace))
    gif(frames, gif_, fps=5, hold=2)


def _spread(times: Sequence[int], count: int, spacing: Callable[[float, float, int], NDArray[np.float64]]) -> list[int]:
    """At most `count` of `times`, the first and the last among them, spaced as `spacing` has it."""
    if len(times) <= count:
        return list(times)
    wanted = spacing(max(times[0], 1), times[-1], count)
    nearest = np.abs(np.subtract.outer(wanted, times)).argmin(axis=1)
    return [times[i] for i in sorted(set(nearest.tolist()))]


def _labelled(strip: Pixels, text: str) -> Pixels:
    """The strip with text to its left."""
    height = strip.shape[0]
    beside = Image.new("L", (64, height), BAR)
    ImageDraw.Draw(beside).text((56, height / 2), text, fill=INK, font=_font(16), anchor="rm")
    grey = np.asarray(beside)
    return np.concatenate([grey if strip.ndim == 2 else np.stack([grey] * 3, axis=-1), strip], axis=1)


def _short(count: int) -> str:
    """60_000 as `60k`, 1_250_000 as `1.2M`."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if count >= size:
            return f"{count / size:.{1 if count < 10 * size else 0}f}".removesuffix(".0") + unit
    return str(count)


def _indexed(frame: Pixels) -> Image.Image:
    """Greys as they are, colours by a palette of this frame's own."""
    image = Image.fromarray(frame)
    return image if image.mode == "L" else image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _read(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: Pillow's own font has no ε."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)
