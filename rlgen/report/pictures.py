"""Arrays of pixels as pictures: grids of images with captions, their evolution, and animations. Pillow, no ffmpeg.

Pixels are uint8: (H, W) in greys or (H, W, 3) in colours. Captions are white on nearly black.
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
from rlgen.report import saved_grids
from rlgen.report.saved_grids import Layout, Pixels

if TYPE_CHECKING:
    from rlgen.core.images import Grid

WIDTH = 480  # pixels: narrower grids are enlarged by a whole number
FRAME = 320  # pixels: narrower frames of a film are enlarged, too
PADDING = 2  # pixels around each image before it is enlarged
GAP = 40  # grey between the images of a grid: black digits on black stay apart
BAR, INK = 24, 255  # greys of a caption
TITLE, LABEL = 15, 12  # pixels of the letters of titles and labels
CAPTIONED = 112  # pixels: images with captions are enlarged to this width at least
SMALLEST = 8  # pixels: labels that fit their column only in smaller letters are cut short
ROWS = 8  # of a picture of an evolution
FRAMES = 60  # of an animation of one, at most


def draw(grid: "Grid", step: str = "", scale: int = 1) -> Pixels:
    """A grid as a picture with its captions: title and `step` above, labels of columns and rows beside the images.

    `scale` enlarges images and letters by a whole number, for slides.
    """
    return _laid_out(grid, step, scale)[0]


def _laid_out(grid: "Grid", step: str, scale: int) -> tuple[Pixels, Layout]:
    from rlgen.core.images import to_bytes  # imports torch

    pixels: Pixels = to_bytes(grid.images).permute(0, 2, 3, 1).cpu().numpy()
    columns = min(grid.columns, len(pixels))
    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    if grid.captions:
        pixels, scale = _captioned(pixels, grid.captions, columns, scale), 1
    picture = tiles(pixels, columns, scale)
    zoom = picture.shape[1] // (columns * (pixels.shape[2] + PADDING) + PADDING)
    height, width = ((side + PADDING) * zoom for side in pixels.shape[1:3])
    rows, left, top, gap = -(-len(pixels) // columns), 0, 0, PADDING * zoom
    if grid.row_labels:
        labels = [grid.row_labels[i % len(grid.row_labels)] for i in range(rows)]
        beside = _row_labels(labels, height, scale)
        margin = len(picture) - len(beside)
        beside = np.pad(beside, ((margin // 2, margin - margin // 2), (0, 0)), constant_values=BAR)
        left = beside.shape[1]
        picture = _beside(beside, picture)
    if any(grid.column_labels):
        above = _column_labels(grid.column_labels[:columns], left + gap / 2, width, picture.shape[1], scale)
        top += len(above)
        picture = _above(above, picture)
    if title := "  ·  ".join(filter(None, (grid.title, step))):
        above = _bar(title, picture.shape[1], TITLE * scale)
        top += len(above)
        picture = _above(above, picture)
    return picture, Layout(top, left, height, width, gap, grid.column_labels[:columns])


def tiles(images: Pixels, columns: int = 8, scale: int = 1) -> Pixels:
    """Images (N, H, W) or (N, H, W, 3) in rows of `columns`, enlarged by a whole number to `WIDTH` at least."""
    n, height, width = images.shape[:3]
    if not n:
        raise ValueError("a grid of no images")
    columns = min(columns, n)
    rows = -(-n // columns)
    tall, wide = height + PADDING, width + PADDING
    picture = np.full((rows * tall + PADDING, columns * wide + PADDING, *images.shape[3:]), GAP, np.uint8)
    for i, image in enumerate(images):
        y, x = PADDING + i // columns * tall, PADDING + i % columns * wide
        picture[y : y + height, x : x + width] = image
    return _enlarged(picture, -(-WIDTH // picture.shape[1]) * scale)


def write_grid(grid: "Grid", path: Path, step: str = "", scale: int = 1) -> None:
    """Draw a grid into a PNG, which also holds where its images are, for `evolution`."""
    picture, layout = _laid_out(grid, step, scale)
    write_png(picture, path, layout)


def write_png(picture: Pixels, path: Path, layout: Layout | None = None) -> None:
    """Write a picture, whole or not at all."""
    text = saved_grids.text_of(layout) if layout is not None else None
    with replacing(path) as partial:
        Image.fromarray(picture).save(partial, format="png", pnginfo=text)


def gif(frames: Iterable[Pixels], path: Path, fps: float = 30, hold: float = 0) -> None:
    """Write an animation that loops, its last frame held for `hold` seconds more; frames are of one size.

    A GIF counts in hundredths of a second, and players slow down what is shorter than two: 50 frames a second at most.
    """
    images: list[Image.Image] = []
    last = None
    for frame in frames:  # a frame that is held comes several times
        images.append(images[-1] if frame is last else _indexed(frame))
        last = frame
    if not images:
        raise ValueError("an animation of no frames")
    if len({image.size for image in images}) > 1:
        raise ValueError("the frames of an animation differ in size")
    durations = [10 * max(2, round(100 / fps))] * len(images)
    durations[-1] += round(1000 * hold)
    with replacing(path) as partial:
        images[0].save(partial, format="gif", save_all=True, append_images=images[1:], duration=durations, loop=0)


def caption(frame: Pixels, text: str) -> Pixels:
    """The frame, enlarged to `FRAME` at least, with a line of text in a dark bar below it."""
    frame = _enlarged(frame, -(-FRAME // frame.shape[1]))
    bar = max(24, frame.shape[0] // 16)
    return np.concatenate([frame, _like(frame, _bar(text, frame.shape[1], 0.6 * bar, bar))])


def evolution(samples: Path, png: Path, gif_: Path, columns: int = 8, unit: str = "images") -> None:
    """From the grids in `samples`, named by time: their first rows one under the other, and an animation of them all.

    Grids of a run start from the same noise, so a column shows one image while it forms. `columns` is that of grids
    written without a layout.
    """
    paths = dict(sorted((int(path.stem), path) for path in samples.glob("*.png") if path.stem.isdigit()))
    if not paths:
        raise UserError(f"{samples} has no samples yet: they are drawn at each evaluation")
    # Most happens early, so the rows of the picture are spread evenly over the logarithm of time.
    early, chosen = spread(list(paths), ROWS, np.geomspace), spread(list(paths), FRAMES, np.linspace)
    grids = saved_grids.readable(paths, sorted({*early, *chosen}), columns)
    if not grids:
        raise UserError(f"{samples} has no grid that can be read")
    times = [time for time in early if time in grids] or list(grids)[-1:]
    _, layout = grids[times[-1]]
    rows = [grids[time][0][layout.top : layout.top + layout.height, layout.left :] for time in times]
    rows.append(np.full_like(rows[0][: layout.gap], GAP))
    labels = [_short(time) if time else "untrained" for time in times]
    beside = [_row_labels([label], len(row), 1, labels) for label, row in zip(labels, rows, strict=False)]
    beside.append(np.full((layout.gap, beside[0].shape[1]), BAR, np.uint8))
    picture = _beside(np.concatenate(beside), np.concatenate(rows))
    if any(layout.labels):
        left = beside[0].shape[1] + layout.gap / 2
        picture = _above(_column_labels(layout.labels, left, layout.width, picture.shape[1], 1), picture)
    title = f"samples by {unit} seen, from the same noise throughout"
    write_png(_above(_bar(title, picture.shape[1], TITLE), picture), png)
    titled = (
        picture if layout.top else _above(_bar(f"{time:,} {unit}", picture.shape[1], TITLE), picture)
        for time, (picture, layout) in grids.items()
        if time in chosen or time == times[-1]
    )
    gif(titled, gif_, fps=5, hold=2)


def spread(times: Sequence[int], count: int, spacing: Callable[[float, float, int], NDArray[np.float64]]) -> list[int]:
    """At most `count` of `times`, the first and the last among them, spaced by `spacing`; 0 besides, if it is one."""
    if len(times) <= count:
        return list(times)
    start = [time for time in times[:1] if not time]
    wanted = spacing(times[len(start)], times[-1], count - len(start))
    nearest = np.abs(np.subtract.outer(wanted, times)).argmin(axis=1)
    return [*start, *(times[i] for i in sorted(set(nearest.tolist())))]


def _captioned(images: Pixels, captions: Sequence[str], columns: int, scale: int) -> Pixels:
    """Images (N, H, W) or (N, H, W, 3), enlarged to `CAPTIONED` at least, each above its caption, line by line."""
    times = -(-max(CAPTIONED, WIDTH // columns) // images.shape[2]) * scale
    width = images.shape[2] * times
    lines = [caption.split("\n") for caption in captions]
    size = _size([line for text in lines for line in text], scale, width)
    bar = round(1.4 * size) * max(map(len, lines))
    cells = []
    for image, text in zip(images, lines, strict=True):
        below = Image.new("L", (width, bar), BAR)
        pen = ImageDraw.Draw(below)
        for i, line in enumerate(text):
            pen.text((width / 2, 1.4 * size * (i + 0.5)), fitting(line, size, width), INK, font(size), "mm")
        cells.append(np.concatenate([_enlarged(image, times), _like(image, np.asarray(below))]))
    return np.stack(cells)


def _size(labels: Sequence[str], scale: int, room: float) -> float:
    """The size of the letters with which all labels fit into `room` pixels, between `SMALLEST` and `LABEL`."""
    longest = max(font(LABEL * scale).getlength(label) for label in labels)
    return max(SMALLEST * scale, LABEL * scale * min(1, room / max(1, longest)))


def fitting(label: str, size: float, room: float) -> str:
    """The label, cut short where it is wider than `room` pixels."""
    while len(label) > 1 and font(size).getlength(label) > room:
        label = label.rstrip("…")[:-1] + "…" if len(label.rstrip("…")) > 1 else label[:1]
    return label


def _row_labels(labels: Sequence[str], height: int, scale: int, like: Sequence[str] = ()) -> Pixels:
    """Labels one under the other, each in the middle of `height` pixels; as wide as the longest, or that of `like`."""
    size = min(LABEL * scale, height)
    margin = size // 2
    width = round(max(font(size).getlength(label) for label in like or labels)) + 2 * margin
    picture = Image.new("L", (width, height * len(labels)), BAR)
    pen = ImageDraw.Draw(picture)
    for i, label in enumerate(labels):
        pen.text((width - margin, height * (i + 0.5)), label, fill=INK, font=font(size), anchor="rm")
    return np.asarray(picture)


def _column_labels(labels: Sequence[str], left: float, width: int, total: int, scale: int) -> Pixels:
    """Labels side by side, each in the middle of `width` pixels from `left` on; letters shrink to fit, then are cut."""
    room = width * 0.94
    size, height = _size(labels, scale, room), round(1.7 * LABEL * scale)
    picture = Image.new("L", (total, height), BAR)
    pen = ImageDraw.Draw(picture)
    for i, label in enumerate(labels):
        text = fitting(label, size, room)
        pen.text((left + width * (i + 0.5), height / 2), text, fill=INK, font=font(size), anchor="mm")
    return np.asarray(picture)


def _bar(text: str, width: int, size: float, height: int = 0) -> Pixels:
    """A line of text in a dark bar (height, width), in letters of `size` or as large as the width allows."""
    height = height or round(1.8 * size)
    size *= min(1, (width - height / 2) / max(1, font(size).getlength(text)))
    picture = Image.new("L", (width, height), BAR)
    ImageDraw.Draw(picture).text((height / 4, height / 2), text, fill=INK, font=font(size), anchor="lm")
    return np.asarray(picture)


def _beside(grey: Pixels, picture: Pixels) -> Pixels:
    return np.concatenate([_like(picture, grey), picture], axis=1)


def _above(grey: Pixels, picture: Pixels) -> Pixels:
    return np.concatenate([_like(picture, grey), picture])


def _like(picture: Pixels, grey: Pixels) -> Pixels:
    """Greys as colours where the picture has these."""
    return grey if picture.ndim == 2 else np.stack([grey] * 3, axis=-1)


def _enlarged(picture: Pixels, times: int) -> Pixels:
    return picture if times == 1 else picture.repeat(times, axis=0).repeat(times, axis=1)


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


@cache
def font(size: float) -> ImageFont.FreeTypeFont:
    """DejaVu Sans in letters of `size` pixels, which comes with matplotlib: Pillow's own font has no ε."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)
