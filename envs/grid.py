"""A grid world with walls, pits and a goal, whose optimum is known. After Sutton and Barto 2018, chapter 3."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

MAP = """
S..#....
.#.#.##.
.#...#..
..#X...#
#.#X.#..
.....#XG
"""

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left; neighbours in this list are at right angles

Transition = tuple[float, int, float, bool]  # probability, where it leads, reward, whether that ends the episode

TILE, MARGIN, FINER = 48, 8, 4  # pixels of a place, of the frame around all; drawn so many times larger, then shrunk
WALL, EDGE, FLOOR, LINE = "#39424e", "#2c333d", "#f3efe6", "#e3ddcf"
PIT, GOAL, FLAG, AGENT, START = "#1f1b24", "#bfe3c0", "#2e8b57", "#e4572e", "#d9e4f2"


class GridWorld(gym.Env[Any, Any]):
    """Walk from S to G around walls (#) and pits (X), with each move liable to slip to one of its sides.

    A step costs `cost`, the goal brings 1 and a pit costs 1; both end the episode. Who walks
    into a wall or off the map stays. Observes the number of the place, walls not being counted;
    where there are several S, an episode starts from one of them. `P` says what may happen, as in
    gymnasium's toy text: P[place][action] is a list of (probability, next place, reward, terminated).
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 6}  # noqa: RUF012  # as gymnasium declares it

    def __init__(self, map: str = MAP, slip: float = 0.1, cost: float = 0.01, render_mode: str | None = None) -> None:
        self.map, self.slip, self.cost, self.render_mode = map.split(), slip, cost, render_mode
        _check(self.map, slip)
        self.places = [
            (row, column) for row, line in enumerate(self.map) for column, tile in enumerate(line) if tile != "#"
        ]
        self.number = {place: number for number, place in enumerate(self.places)}
        starts = np.array([self._tile(place) == "S" for place in self.places])
        self.initial_state_distrib = starts / starts.sum()
        self.P = {
            number: {action: self._outcomes(place, action) for action in range(len(MOVES))}
            for number, place in enumerate(self.places)
        }
        self.observation_space = gym.spaces.Discrete(len(self.places))
        self.action_space = gym.spaces.Discrete(len(MOVES))
        self._board: Image.Image | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """To one of the starts."""
        super().reset(seed=seed)
        self.place = int(self.np_random.choice(len(self.places), p=self.initial_state_distrib))
        self.facing = 1
        return self.place, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """One move: 0 up, 1 right, 2 down, 3 left."""
        outcomes, chance, drawn = self.P[self.place][int(action)], 0.0, self.np_random.random()
        for probability, place, reward, terminated in outcomes:  # noqa: B007  # the last one where rounding leaves a gap
            chance += probability
            if drawn < chance:
                break
        self.place, self.facing = place, int(action)
        return place, reward, terminated, False, {}

    def render(self) -> NDArray[np.uint8]:
        """A picture (H, W, 3) of the board and where the agent stands on it."""
        if self._board is None:
            self._board = self._draw_board()
        board = self._board.copy()
        self._draw_agent(ImageDraw.Draw(board))
        return np.asarray(board.reduce(FINER))

    def _outcomes(self, place: tuple[int, int], action: int) -> list[Transition]:
        """What may come of an action: a certain end where the episode is over already, as in toy text."""
        if self._tile(place) in "GX":
            return [(1.0, self.number[place], 0.0, True)]
        ways = {action: 1 - self.slip, (action - 1) % 4: self.slip / 2, (action + 1) % 4: self.slip / 2}
        return [(chance, *self._move(place, MOVES[way])) for way, chance in ways.items() if chance]

    def _move(self, place: tuple[int, int], move: tuple[int, int]) -> tuple[int, float, bool]:
        there = (place[0] + move[0], place[1] + move[1])
        there = there if there in self.number else place
        end = {"G": 1.0, "X": -1.0}.get(self._tile(there))
        return self.number[there], (end or 0.0) - self.cost, end is not None

    def _tile(self, place: tuple[int, int]) -> str:
        return self.map[place[0]][place[1]]

    def _draw_board(self) -> Image.Image:
        height, width = (FINER * (TILE * n + 2 * MARGIN) for n in (len(self.map), len(self.map[0])))
        board = Image.new("RGB", (width, height), EDGE)
        draw = ImageDraw.Draw(board)
        for row, line in enumerate(self.map):
            for column, tile in enumerate(line):
                ground = {"#": WALL, "G": GOAL, "S": START}.get(tile, FLOOR)
                draw.rectangle(self._box(row, column), fill=EDGE if tile == "#" else LINE)
                draw.rectangle(self._box(row, column, 1), fill=ground)
                if tile == "#":
                    draw.rectangle(self._box(row, column, 1)[:2] + self._box(row, column, 1, bottom=40)[2:], "#4b5664")
                elif tile == "X":
                    draw.ellipse(self._box(row, column, 5), fill="#cfc7b6")
                    draw.ellipse(self._box(row, column, 8), fill=PIT)
                elif tile == "G":
                    x, y = self._box(row, column)[:2]
                    at = [(x + FINER * dx, y + FINER * dy) for dx, dy in ((17, 9), (38, 16), (17, 24))]
                    draw.rectangle((x + FINER * 15, y + FINER * 8, x + FINER * 18, y + FINER * 40), fill="#5b4636")
                    draw.polygon(at, fill=FLAG)
        return board

    def _draw_agent(self, draw: ImageDraw.ImageDraw) -> None:
        row, column = self.places[self.place]
        draw.ellipse(self._box(row, column, 9), fill="#a83a1c")
        draw.ellipse(self._box(row, column, 10), fill=AGENT)
        left, top, right, bottom = self._box(row, column)
        y, x = MOVES[self.facing]
        for side in (-6, 6):  # two eyes that look where it wanted to go
            eye_x = (left + right) / 2 + FINER * (4 * x + side * abs(y))
            eye_y = (top + bottom) / 2 + FINER * (4 * y + side * abs(x))
            for radius, colour, shift in ((4.5, "white", 0.0), (2.2, "black", 1.8)):
                cx, cy = eye_x + FINER * shift * x, eye_y + FINER * shift * y
                draw.ellipse([v + FINER * r for r in (-radius, radius) for v in (cx, cy)], fill=colour)

    def _box(self, row: int, column: int, inset: int = 0, bottom: int | None = None) -> tuple[float, ...]:
        """Corners (left, top, right, bottom) of a tile without `inset` pixels at each side."""
        left, top = MARGIN + TILE * column, MARGIN + TILE * row
        low = top + (TILE - inset if bottom is None else bottom)
        return FINER * (left + inset), FINER * (top + inset), FINER * (left + TILE - inset) - 1, FINER * low - 1


def _check(map: list[str], slip: float) -> None:
    if not map or len({len(line) for line in map}) != 1:
        raise ValueError("the lines of a map must all be as long as each other")
    tiles = set("".join(map))
    if unknown := tiles - set("S.#XG"):
        raise ValueError(f"a map is made of S . # X G, not of {' '.join(sorted(unknown))}")
    if not {"S", "G"} <= tiles:
        raise ValueError("a map needs a start S and a goal G")
    if not 0 <= slip <= 1:
        raise ValueError(f"slip is a probability, not {slip}")
