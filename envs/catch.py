"""Catch falling apples: a small pixel game with a known best score. After Mnih et al. 2014, arXiv:1406.6247."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 10  # rows and columns; the basket is in the last row
FALL = SIZE - 1  # steps from the top to the basket
REACH = 1  # columns that the basket covers on each side of its middle
PERIOD = 5  # steps between apples: mostly two are in the air
APPLES = 20  # per episode
STEPS = FALL + PERIOD * (APPLES - 1)  # per episode: until the last apple has landed

CELL, OVERSAMPLING = 40, 3  # pixels of a cell; factor by which pictures are drawn larger, then reduced
SKY = (140, 196, 232), (238, 246, 248)  # RGB at the top and at the bottom
GRASS, BASKET, WEAVE, APPLE = "#5f9e4a", "#b07a3c", "#8a5a26", "#d8342c"


class Catch(gym.Env[NDArray[np.uint8], Any]):
    """Move a basket one column to the left or right, or not at all, to catch falling apples.

    An apple falls one row per step and drifts by -1, 0 or +1 columns, bouncing off the walls. The reward is 1 for
    each apple caught. An apple lands no more columns from the previous one than there are steps between the two, so
    all can be caught: the best return is 20, and random actions catch about 6. The game has no end of its own; the
    time limit of the registered environment truncates an episode when its 20th apple lands.

    An observation has three planes (3, 10, 10) of 0 and 255: the basket, the apples, and the apples one step before.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  # as gymnasium declares it

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(0, 255, (3, SIZE, SIZE), np.uint8)
        self.action_space = gym.spaces.Discrete(3)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """A basket in a random column and one apple in the top row."""
        super().reset(seed=seed)
        self.time, self.basket = 0, int(self.np_random.integers(SIZE))
        self.apples: list[tuple[int, int, int]] = []  # (time at the top, column of the landing, drift)
        self.landed: tuple[int, bool] | None = None  # in the latest step: (column, caught)
        self._drop(self.basket, FALL)
        return self._observe(), {}

    def step(self, action: int) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Action 0 moves the basket to the left, 1 not at all, 2 to the right."""
        self.time += 1
        self.basket = min(max(self.basket + int(action) - 1, 0), SIZE - 1)
        self.landed = None
        start, column, _ = self.apples[0]
        if self.time - start == FALL:
            self.landed = column, abs(column - self.basket) <= REACH
            del self.apples[0]
        if self.time % PERIOD == 0:
            self._drop(self.apples[-1][1], PERIOD)
        return self._observe(), float(self.landed is not None and self.landed[1]), False, False, {}

    def target(self) -> int:
        """The column in which the next apple lands; moving there is an optimal policy."""
        return self.apples[0][1]

    def render(self) -> NDArray[np.uint8]:
        """A picture (H, W, 3)."""
        side = OVERSAMPLING * CELL * SIZE
        sky = np.linspace(*SKY, side)[:, None]  # (H, 1, 3)
        picture = Image.fromarray(np.broadcast_to(sky.astype(np.uint8), (side, side, 3)).copy())
        draw = ImageDraw.Draw(picture)
        draw.rectangle(_box(FALL, 0, (0, 24, SIZE * CELL, CELL)), fill=GRASS)
        for apple in self.apples:
            age = self.time - apple[0]
            if age:
                draw.ellipse(_box(age - 1, _column(apple, age - 1), (13, 13, 27, 27)), fill="#e9a6a0")
            _draw_apple(draw, age, _column(apple, age))
        if self.landed and not self.landed[1]:
            draw.ellipse(_box(FALL, self.landed[0], (3, 26, 37, 38)), fill="#a8231d")
            draw.ellipse(_box(FALL, self.landed[0], (13, 27, 27, 33)), fill="#e8d8a0")
        elif self.landed:
            _draw_apple(draw, FALL - 0.2, self.landed[0])
        left, right = -REACH * CELL, (REACH + 1) * CELL
        corners = [(left + 1, 12), (right - 1, 12), (right - 12, 37), (left + 12, 37)]
        draw.polygon([_at(FALL, self.basket, corner) for corner in corners], fill=BASKET)
        for y in (20, 28):
            draw.line([_at(FALL, self.basket, (x, y)) for x in (left + y // 3, right - y // 3)], WEAVE, OVERSAMPLING)
        draw.rounded_rectangle(_box(FALL, self.basket, (left, 10, right, 15)), 2 * OVERSAMPLING, fill=WEAVE)
        return np.asarray(picture.reduce(OVERSAMPLING))

    def _drop(self, previous: int, steps: int) -> None:
        """A new apple that lands at most `steps` columns from the column `previous`."""
        low, high = max(previous - steps, 0), min(previous + steps, SIZE - 1)
        drawn = int(self.np_random.integers(3 * (high - low + 1)))
        self.apples.append((self.time, low + drawn // 3, drawn % 3 - 1))

    def _observe(self) -> NDArray[np.uint8]:
        planes = np.zeros((3, SIZE, SIZE), np.uint8)
        planes[0, FALL, max(self.basket - REACH, 0) : self.basket + REACH + 1] = 255
        for apple in self.apples:
            age = self.time - apple[0]
            planes[1, age, _column(apple, age)] = 255
            if age:
                planes[2, age - 1, _column(apple, age - 1)] = 255
        return planes


def _column(apple: tuple[int, int, int], age: int) -> int:
    """The column after `age` steps: on a straight line to the landing, reflected at the walls."""
    _, landing, drift = apple
    return FALL - abs(FALL - (landing - drift * (FALL - age)) % (2 * FALL))


def _at(row: float, column: float, point: tuple[float, float]) -> tuple[float, float]:
    """A point (x, y) in the pixels of a cell, as (x, y) in the picture."""
    return OVERSAMPLING * (CELL * column + point[0]), OVERSAMPLING * (CELL * row + point[1])


def _box(row: float, column: float, box: tuple[float, float, float, float]) -> tuple[float, ...]:
    return *_at(row, column, box[:2]), *_at(row, column, box[2:])


def _draw_apple(draw: ImageDraw.ImageDraw, row: float, column: float) -> None:
    for box, colour in (((7, 11, 25, 35), APPLE), ((15, 11, 33, 35), APPLE), ((11, 15, 17, 21), "#f2857d")):
        draw.ellipse(_box(row, column, box), fill=colour)
    draw.line([_at(row, column, (20, 13)), _at(row, column, (22, 5))], "#5b4636", 2 * OVERSAMPLING)
    draw.ellipse(_box(row, column, (22, 4, 32, 10)), fill="#3f9142")
