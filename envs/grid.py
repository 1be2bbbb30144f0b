"""A grid world with walls, pits and a goal; its optimum can be computed. After Sutton and Barto 2018, chapter 3."""

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

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # (row, column): up, right, down, left

Transition = tuple[float, int, float, bool]  # probability, next state, reward, terminated

TILE, MARGIN = 48, 8  # pixels of a tile and of the frame around the board
OVERSAMPLING = 4  # factor by which pictures are drawn larger, then reduced
WALL, EDGE, FLOOR, LINE = "#39424e", "#2c333d", "#f3efe6", "#e3ddcf"
PIT, GOAL, FLAG, AGENT, START = "#1f1b24", "#bfe3c0", "#2e8b57", "#e4572e", "#d9e4f2"


class GridWorld(gym.Env[Any, Any]):
    """Walk from S to G around walls (#) and pits (X).

    Arguments: `map`, rows of the characters S . # X G; `slip`, the probability that a move goes to one of its two
    sides instead; `cost` of a step. The goal has reward 1 and a pit -1; both terminate the episode. A move into a
    wall or off the map leaves the agent in place. An observation is the number of the tile, walls not counted; of
    several S one is drawn as the start. `P` is the table of transitions as in gymnasium's toy text: P[state][action]
    is a list of (probability, next state, reward, terminated). Raises ValueError for a map or `slip` out of range.
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
        """Begin on one of the tiles S."""
        super().reset(seed=seed)
        self.place = int(self.np_random.choice(len(self.places), p=self.initial_state_distrib))
        self.facing = 1
        return self.place, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Action 0 moves up, 1 right, 2 down, 3 left."""
        outcomes, chance, drawn = self.P[self.place][int(action)], 0.0, self.np_random.random()
        for probability, place, reward, terminated in outcomes:  # noqa: B007  # after rounding errors the last one
            chance += probability
            if drawn < chance:
                break
        self.place, self.facing = place, int(action)
        return place, reward, terminated, False, {}

    def render(self) -> NDArray[np.uint8]:
        """A picture (H, W, 3) of the board and the agent."""
        if self._board is None:
            self._board = self._draw_board()
        board = self._board.copy()
        self._draw_agent(ImageDraw.Draw(board))
        return np.asarray(board.reduce(OVERSAMPLING))

    def _outcomes(self, place: tuple[int, int], action: int) -> list[Transition]:
        """The possible transitions; from a goal or pit the only one is termination, as in toy text."""
        if self._tile(place) in "GX":
            return [(1.0, self.number[place], 0.0, True)]
        directions = {action: 1 - self.slip, (action - 1) % 4: self.slip / 2, (action + 1) % 4: self.slip / 2}
        return [(chance, *self._move(place, MOVES[move])) for move, chance in directions.items() if chance]

    def _move(self, place: tuple[int, int], move: tuple[int, int]) -> tuple[int, float, bool]:
        successor = (place[0] + move[0], place[1] + move[1])
        successor = successor if successor in self.number else place
        reward = {"G": 1.0, "X": -1.0}.get(self._tile(successor))
        return self.number[successor], (reward or 0.0) - self.cost, reward is not None

    def _tile(self, place: tuple[int, int]) -> str:
        return self.map[place[0]][place[1]]

    def _draw_board(self) -> Image.Image:
        height, width = (OVERSAMPLING * (TILE * n + 2 * MARGIN) for n in (len(self.map), len(self.map[0])))
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
                    at = [(x + OVERSAMPLING * dx, y + OVERSAMPLING * dy) for dx, dy in ((17, 9), (38, 16), (17, 24))]
                    draw.rectangle(
                        (x + OVERSAMPLING * 15, y + OVERSAMPLING * 8, x + OVERSAMPLING * 18, y + OVERSAMPLING * 40),
                        fill="#5b4636",
                    )
                    draw.polygon(at, fill=FLAG)
        return board

    def _draw_agent(self, draw: ImageDraw.ImageDraw) -> None:
        row, column = self.places[self.place]
        draw.ellipse(self._box(row, column, 9), fill="#a83a1c")
        draw.ellipse(self._box(row, column, 10), fill=AGENT)
        left, top, right, bottom = self._box(row, column)
        y, x = MOVES[self.facing]
        for side in (-6, 6):  # two eyes, turned to the direction of the last action
            eye_x = (left + right) / 2 + OVERSAMPLING * (4 * x + side * abs(y))
            eye_y = (top + bottom) / 2 + OVERSAMPLING * (4 * y + side * abs(x))
            for radius, colour, shift in ((4.5, "white", 0.0), (2.2, "black", 1.8)):
                cx, cy = eye_x + OVERSAMPLING * shift * x, eye_y + OVERSAMPLING * shift * y
                draw.ellipse([v + OVERSAMPLING * r for r in (-radius, radius) for v in (cx, cy)], fill=colour)

    def _box(self, row: int, column: int, inset: int = 0, bottom: int | None = None) -> tuple[float, ...]:
        """Corners (left, top, right, bottom) of a tile, `inset` pixels smaller on each side."""
        left, top = MARGIN + TILE * column, MARGIN + TILE * row
        low = top + (TILE - inset if bottom is None else bottom)
        return (
            OVERSAMPLING * (left + inset),
            OVERSAMPLING * (top + inset),
            OVERSAMPLING * (left + TILE - inset) - 1,
            OVERSAMPLING * low - 1,
        )


def _check(map: list[str], slip: float) -> None:
    if not map or len({len(line) for line in map}) != 1:
        raise ValueError("the rows of a map must have the same length")
    tiles = set("".join(map))
    if unknown := tiles - set("S.#XG"):
        raise ValueError(f"a map has the characters S . # X G, not {' '.join(sorted(unknown))}")
    if not {"S", "G"} <= tiles:
        raise ValueError("a map needs a start S and a goal G")
    if not 0 <= slip <= 1:
        raise ValueError(f"slip is a probability, not {slip}")
