"""Objects: colour images of ten classes that are drawn, not downloaded, with their labels, boxes and masks.

A class is a shape and a texture: one of five shapes, plain or striped. Position, size, rotation, colours, the texture
of the background and a surface that partly covers the object are random and carry no information on the class.
Lengths are pixels of an image of 32x32, whatever its size.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlgen.core.errors import StorageError
from rlgen.core.files import replacing
from rlgen.data import idx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHAPES = ("disk", "square", "triangle", "star", "cross")
CLASSES = (*SHAPES, *(f"striped {shape}" for shape in SHAPES))
SIDE = 32  # the side of an image
COUNTS = {"train": 50_000, "test": 10_000}
FIRST = {"train": 0, "test": 50_000}  # index of the first image of a split
VERSION = 1  # of the drawings, in the names of cached files: another one for any change of a pixel
CACHED = 64  # largest size that is cached: 690 MB of the training split
CHUNK = 100  # images drawn at a time: their arrays fit into the cache of a processor

RADIUS = (6.0, 12.0)  # of the circle around an object, before its shape is considered
SCALE = (0.85, 1.0, 1.15, 1.2, 1.05)  # of the radius, by shape: the areas are similar
MARGIN = 0.8  # least distance of a centre from the border of the image, in radii
STRIPES = (0.4, 0.55)  # period of the stripes on an object, in radii
SHADE = 0.12  # change of the colour of an object from its centre to its border
TEXTURE = 0.2  # largest deviation of a background from its colour, of each of two waves
GRAIN = 0.1  # largest noise on a value
COVERED = 0.6  # share of the objects that a surface covers in part
REACH = (0.3, 1.0)  # distance of the surface from the centre of the object, in radii


@dataclass(frozen=True)
class Objects:
    """N images of objects."""

    images: NDArray[np.uint8]  # (N, 3, H, W)
    labels: NDArray[np.uint8]  # (N,) an index into `CLASSES`
    boxes: NDArray[np.int16]  # (N, 4) left, top, right, bottom of the mask in pixels; right and bottom lie outside
    masks: NDArray[np.bool_]  # (N, H, W) whether half of a pixel or more belongs to the visible object


def read(split: str, size: int = SIDE) -> Objects:
    """A split of the dataset: drawn once, then read from the cache of downloads, where that can be written."""
    path = idx.cache() / "objects" / f"v{VERSION}-{split}-{size}.bin"
    objects = _cached(path, split, size)
    if objects is None:
        objects = draw_many(FIRST[split], COUNTS[split], size=size)
        if size <= CACHED:
            _store(path, objects)
    return objects


def draw(
    index: int, seed: int = 0, size: int = SIDE
) -> tuple[NDArray[np.uint8], int, NDArray[np.int16], NDArray[np.bool_]]:
    """One image (3, H, W), its label, its box (4,) and its mask (H, W), as in `Objects`.

    The dataset has the seed 0, and its test images follow those for training.
    """
    one = draw_many(index, 1, seed, size)
    return one.images[0], int(one.labels[0]), one.boxes[0], one.masks[0]


def draw_many(first: int, count: int, seed: int = 0, size: int = SIDE) -> Objects:
    """The images `first` to `first` + `count` - 1: each follows from its index, the seed and the size alone."""
    import numpy as np

    images = np.empty((count, 3, size, size), np.uint8)
    masks = np.empty((count, size, size), np.bool_)
    np.empty(24 << 20, np.uint8)  # once glibc has freed so large a block, it keeps smaller ones: three times as fast
    for start in range(0, count, CHUNK):
        part = slice(start, min(start + CHUNK, count))
        images[part], masks[part] = _scenes(seed, first + start, part.stop - start, size)
    labels = (first + np.arange(count)) % len(CLASSES)
    return Objects(images, labels.astype(np.uint8), _boxes(masks), masks)


def _scenes(seed: int, first: int, count: int, size: int) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """Images (N, 3, size, size) in 0..255, and masks (N, size, size)."""
    import numpy as np

    from rlgen.data import drawing

    draws, pixel = drawing.Draws(seed, first, count), SIDE / size
    axis = ((np.arange(size) + 0.5) * pixel).astype(np.float32)
    x, y = axis[None, None, :], axis[None, :, None]
    label = (first + np.arange(count)) % len(CLASSES)
    shape, striped = label % len(SHAPES), (label >= len(SHAPES))[:, None, None]

    # of each channel four values, at least a sixth of its range apart around a circle, in either direction
    base, sign = draws.colour(0, 1), np.sign(draws.colour(-1, 1))
    ground, body, stripe, cover = (
        (base + sign * (place + draws.colour(-0.06, 0.06))) % 1 for place in (0, 1 / 3, 2 / 3, 1 / 2)
    )

    radius = draws(*RADIUS) * np.array(SCALE, np.float32)[shape][:, None, None]
    margin = MARGIN * radius
    dx, dy = (points - (margin + draws(0, 1) * (SIDE - 2 * margin)) for points in (x, y))
    cos, sin = draws.direction()
    u, v = (dx * cos + dy * sin) / radius, (dy * cos - dx * sin) / radius
    distance = np.empty((count, size, size), np.float32)
    for number, name in enumerate(SHAPES):
        members = shape == number
        distance[members] = getattr(drawing, name)(u[members], v[members])
    inside = drawing.coverage(distance * radius, pixel)

    period = draws(*STRIPES) * radius
    lines = drawing.coverage(drawing.wave(dx, dy, period, draws) * period / 4, pixel) * striped
    shade = draws(-SHADE, SHADE) * u + draws(-SHADE, SHADE) * v

    image = ground + drawing.texture(x, y, TEXTURE, draws)
    image += inside[:, None] * (body + shade[:, None] + lines[:, None] * (stripe - body) - image)
    cos, sin = draws.direction()
    reach = np.where(draws(0, 1) < COVERED, draws(*REACH) * radius, np.float32(2 * SIDE))
    covered = drawing.coverage(reach - dx * cos - dy * sin, pixel)
    image += covered[:, None] * (cover + drawing.texture(x, y, TEXTURE, draws) - image)
    image += GRAIN * drawing.grain(seed, first, count, size)
    return np.clip(image, 0, 1) * 255 + 0.5, inside * (1 - covered) >= 0.5


def _boxes(masks: NDArray[np.bool_]) -> NDArray[np.int16]:
    """(N, 4) the smallest boxes around the masks (N, H, W)."""
    import numpy as np

    sides = []
    for axis in (1, 2):
        line: NDArray[np.bool_] = np.logical_or.reduce(masks, axis)  # (N, H) or (N, W)
        sides += [line.argmax(1), line.shape[1] - line[:, ::-1].argmax(1)]
    left, right, top, bottom = sides
    return np.stack([left, top, right, bottom], 1).astype(np.int16)


def _store(path: Path, objects: Objects) -> None:
    """Write images, labels, boxes and masks of a bit per pixel, after their sha256; nothing where that fails."""
    import numpy as np

    arrays = (objects.images, objects.labels, objects.boxes.astype("<i2"), np.packbits(objects.masks))
    parts = [array.data for array in arrays]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with suppress(StorageError), replacing(path) as partial, partial.open("wb") as file:
        file.write(digest.digest())
        for part in parts:
            file.write(part)


def _cached(path: Path, split: str, size: int) -> Objects | None:
    """What `_store` wrote; None unless every byte is there and right."""
    import numpy as np

    try:
        content = np.fromfile(path, np.uint8)
    except OSError:
        return None
    count, pixels = COUNTS[split], size * size
    lengths = np.cumsum([32, count * 3 * pixels, count, count * 8, -(-count * pixels // 8)])
    if len(content) != lengths[-1] or hashlib.sha256(content[32:].data).digest() != content[:32].tobytes():
        return None
    images, labels, boxes, masks = np.split(content[32:], lengths[1:-1] - 32)
    return Objects(
        images.reshape(count, 3, size, size),
        labels,
        boxes.copy().view("<i2").astype(np.int16).reshape(count, 4),
        np.unpackbits(masks, count=count * pixels).view(np.bool_).reshape(count, size, size),
    )
