"""Antialiased drawings of many images at once: outlines as signed distances, textures as sums of waves.

Random numbers come from Philox, a generator of (key, counter): Salmon et al. 2011, doi:10.1145/2063384.2063405.
Distances to polygons are those to their nearest edge, extended: exact but for the outside of corners.
"""

from __future__ import annotations

from math import cos, pi, sin
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.floating[Any]]  # float32, which mypy does not follow through arithmetic

WORDS = 64  # random numbers of an image, a multiple of 4; a drawing takes them all


class Draws:
    """The random numbers of images `first` to `first` + `count` - 1; those of an image depend on no other."""

    def __init__(self, seed: int, first: int, count: int) -> None:
        words = _philox(2 * seed, first * WORDS // 4).random_raw(count * WORDS).reshape(count, WORDS)
        self.numbers = iter(((words >> np.uint64(11)) * 2.0**-53).astype(np.float32).T)
        self.count = count

    def __call__(self, low: float, high: float) -> Array:
        """(N, 1, 1) the next number of each image, uniform between `low` and `high`."""
        number: Array = next(self.numbers)
        return (low + (high - low) * number).astype(np.float32)[:, None, None]

    def colour(self, low: float, high: float) -> Array:
        """(N, 3, 1, 1) three numbers of each image."""
        return np.stack([self(low, high) for _ in range(3)], 1)

    def direction(self) -> tuple[Array, Array]:
        """Cosine and sine (N, 1, 1) of the next angle of each image."""
        angle = self(0, 2 * pi).astype(np.float64)  # float32 sines differ from machine to machine
        return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def grain(seed: int, first: int, count: int, size: int) -> Array:
    """(N, 3, size, size) independent values, uniform in [-1, 1]."""
    blocks = -(-3 * size * size // 32)  # of 4 words of 8 bytes
    words = _philox(2 * seed + 1, first * blocks).random_raw(count * blocks * 4)
    values = words.astype("<u8").view(np.uint8).reshape(count, -1)[:, : 3 * size * size]
    return (values.astype(np.float32) - np.float32(127.5)).reshape(count, 3, size, size) / np.float32(127.5)


def coverage(distance: Array, pixel: float) -> Array:
    """The share of a pixel of side `pixel` within an outline at a signed distance, negative inside."""
    share: Array = np.clip(np.float32(0.5) - distance / np.float32(pixel), 0, 1)
    return share


def wave(x: Array, y: Array, period: Array, draws: Draws) -> Array:
    """A triangle wave in [-1, 1] of a random direction and phase at the points (x, y)."""
    across, down = draws.direction()
    phase = x * (across / period) + (y * (down / period) + draws(0, 1))
    phase -= np.floor(phase)
    height: Array = np.abs(phase - np.float32(0.5)) * np.float32(4) - 1
    return height


def texture(x: Array, y: Array, strength: float, draws: Draws) -> Array:
    """(N, 3, H, W) deviations from a colour: gradients, stripes or checks, smooth or sharp, by chance."""
    long, kind = wave(x, y, draws(16, 80), draws), draws(0, 3)
    period = draws(4, 14)
    first, second = wave(x, y, period, draws), wave(x, y, period * draws(0.7, 1.4), draws)
    fine = np.where(kind < 1, 0, np.where(kind < 2, first, first * second))
    fine = np.clip(fine * draws(1, 5), -1, 1)
    change = long[:, None] * draws.colour(-strength, strength)
    change += fine[:, None] * draws.colour(-strength, strength)
    return change


def disk(x: Array, y: Array) -> Array:
    """Signed distance to the unit circle."""
    return np.sqrt(x * x + y * y) - 1


def square(x: Array, y: Array) -> Array:
    """Signed distance to a square with its corners on the unit circle."""
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.5**0.5)


def triangle(x: Array, y: Array) -> Array:
    """Signed distance to an equilateral triangle with its corners on the unit circle."""
    first, second, third = _edges(x, y, 3)
    return np.maximum(np.maximum(first, second), third) - np.float32(0.5)


def star(x: Array, y: Array) -> Array:
    """Signed distance to a pentagram with its points on the unit circle: inside at least four of its five lines."""
    first, *others = _edges(x, y, 5)
    largest, second = first, np.full_like(first, -np.inf)
    for edge in others:
        largest, second = np.maximum(largest, edge), np.maximum(second, np.minimum(largest, edge))
    return second - np.float32(cos(2 * pi / 5))


def cross(x: Array, y: Array) -> Array:
    """Signed distance to a cross of two bars, 2 long and 0.6 wide."""
    x, y = np.abs(x), np.abs(y)
    distance: Array = np.maximum(np.maximum(x, y) - 1, np.minimum(x, y) - np.float32(0.3))
    return distance


def _edges(x: Array, y: Array, count: int) -> list[Array]:
    """Distances from lines through the centre, in `count` directions evenly spaced."""
    angles = [2 * pi * k / count + pi / count for k in range(count)]
    return [x * np.float32(cos(angle)) + y * np.float32(sin(angle)) for angle in angles]


def _philox(key: int, block: int) -> np.random.Philox:
    """The generator of a key from a block of 4 words on."""
    return np.random.Philox(key=key, counter=block)
