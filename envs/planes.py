"""Planes through the observations of an environment: two of their numbers vary, the others are fixed.

Shapes: C columns, R rows, n cells.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.envs.labels import base
from rlgen.envs.numbers import Number, Numbers
from rlgen.envs.vector_env import VectorEnv

AXES = {"CartPole": (2, 3), "Acrobot": (4, 5)}  # horizontal and vertical number; elsewhere the first two
MARKS = {"Taxi": {(0, 0): "R", (0, 4): "G", (4, 0): "Y", (4, 3): "B"}}

PLACES = ("R", "G", "Y", "B")
WORDS = {"Taxi": {"passenger": (*PLACES, "in the taxi"), "destination": PLACES}}  # for 0, 1, ... of a whole number


class Range(NamedTuple):
    """Values of a number on an axis: all whole ones, or `cells` evenly spaced ones, from `low` to `high`."""

    low: float
    high: float
    cells: int

    def values(self, whole: bool) -> NDArray[np.float64]:
        """The values in ascending order."""
        if whole:
            return np.arange(round(self.low), round(self.high) + 1, dtype=np.float64)
        return np.linspace(self.low, self.high, self.cells)


class Coordinates:
    """The numbers of an observation as `Numbers` has them; row and column in a grid world, whose walls are no state.

    `marks` names the cells of a grid by (row, column): start, goal, hole, wall; `words` the values of a number by its
    name. Raises UserError for images.
    """

    def __init__(self, env: VectorEnv) -> None:
        self.numbers, self.env = Numbers(env), env
        inner: Any = getattr(getattr(env.environments, "envs", [None])[0], "unwrapped", None)
        self.places: dict[tuple[int, int], int] | None = None  # number of the state at (row, column)
        self.marks = MARKS.get(base(env.name), {})
        self.words = WORDS.get(base(env.name), {})
        self.described: list[Number] = self.numbers.described
        if hasattr(inner, "places") and hasattr(inner, "map") and env.frame_stack == 1:
            self.places = dict(inner.number)
            rows, columns = len(inner.map), len(inner.map[0])
            self.described = [Number("row", 0.0, rows - 1.0, True), Number("column", 0.0, columns - 1.0, True)]
            tiles = {(r, c): tile for r, line in enumerate(inner.map) for c, tile in enumerate(line)}
            self.marks = {place: tile for place, tile in tiles.items() if tile != "."}
        elif hasattr(inner, "desc") and base(env.name) == "FrozenLake":
            letters = {(r, c): tile.decode() for (r, c), tile in np.ndenumerate(inner.desc)}
            self.marks = {place: tile for place, tile in letters.items() if tile != "F"}
        self.grid = [number.name.split(" ")[0] for number in self.described[:2]] == ["row", "column"]

    def axes(self) -> tuple[int, int]:
        """The numbers on the horizontal and the vertical axis that are shown first."""
        if len(self.described) == 1:
            return 0, 0
        return (1, 0) if self.grid else AXES.get(base(self.env.name), (0, 1))

    def read(self, observation: NDArray[Any]) -> list[float]:
        """The numbers of a preprocessed observation."""
        if self.places is None:
            return self.numbers.read(observation)
        state = int(observation.argmax())
        return [float(x) for place, number in self.places.items() if number == state for x in place]

    def write(self, numbers: Sequence[float]) -> NDArray[Any] | None:
        """The preprocessed observation of these numbers; None for a wall. Raises UserError where it cannot be one."""
        if self.places is None:
            return self.numbers.write(numbers)
        if len(numbers) != 2:
            raise UserError(f"a place has a row and a column, not {len(numbers)} numbers")
        row, column = (round(float(x)) for x in numbers)
        state = self.places.get((row, column))
        rows, columns = (number.high or 0.0 for number in self.described)
        if not (0 <= row <= rows and 0 <= column <= columns):
            raise UserError(f"row {row}, column {column} is not on the map")
        return None if state is None else np.eye(len(self.places), dtype=self.env.dtype)[state]

    def table(self, observations: NDArray[Any]) -> NDArray[np.float64]:
        """The numbers of observations (n, *shape), (n, numbers)."""
        if self.numbers.counts is None:
            return observations.reshape(len(observations), -1).astype(np.float64)
        distinct, place = np.unique(observations, axis=0, return_inverse=True)
        found: NDArray[np.float64] = np.array([self.read(x) for x in distinct])[place.ravel()]
        return found

    def typical(self, observations: NDArray[Any]) -> list[float]:
        """The median of each number over observations (n, *shape): of a discrete one the most frequent value."""
        table, found = self.table(observations), []
        for column, number in zip(table.T, self.described, strict=True):
            values, counts = np.unique(column, return_counts=True)
            found.append(float(values[counts.argmax()] if number.whole else np.median(column)))
        return found

    def ranges(self, axes: Sequence[int], observations: NDArray[Any], count: int) -> list[Range]:
        """The values on each axis: between the bounds of the number, or 1.5 times the range of the observations."""
        table, found = self.table(observations), []
        for axis in axes:
            number, column = self.described[axis], table[:, axis]
            middle, half = (column.max() + column.min()) / 2, max(0.75 * float(np.ptp(column)), 1e-3)
            low = middle - half if number.low is None else number.low
            high = middle + half if number.high is None else number.high
            found.append(Range(float(low), float(high), count))
        return found


class Plane:
    """The cells of a plane, row by row: the first row is of the highest real number, or of the lowest whole one."""

    def __init__(
        self, coordinates: Coordinates, axes: Sequence[int], fixed: Sequence[float], ranges: Sequence[Range]
    ) -> None:
        described, (across, down) = coordinates.described, axes
        self.x = ranges[0].values(described[across].whole)  # (C,)
        self.y = ranges[1].values(described[down].whole) if across != down else np.zeros(1)  # (R,)
        if not described[down].whole:
            self.y = self.y[::-1]
        self.shape = len(self.y), len(self.x)
        self.axes, self.coordinates = (across, down), coordinates
        cells = []
        for y in self.y:
            for x in self.x:
                numbers = list(fixed)
                numbers[down] = float(y)
                numbers[across] = float(x)  # of a single number the only axis
                cells.append(coordinates.write(numbers))
        self.known = np.array([cell is not None for cell in cells])  # (R * C,) whether there is such an observation
        self.observations = np.array([cell for cell in cells if cell is not None])  # (n, *shape)

    def spread(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Values (n,) of the observations as (R, C), NaN where there is none."""
        found = np.full(self.known.shape, np.nan)
        found[self.known] = values
        return found.reshape(self.shape)

    def histogram(self, observations: NDArray[Any], fixed: Sequence[float]) -> NDArray[np.int64]:
        """How many observations (n, *shape) are nearest to each cell, (R, C).

        Of other numbers the discrete ones must be those of `fixed`; real ones may be any.
        """
        table, counts = self.coordinates.table(observations), np.zeros(self.shape, np.int64)
        inside, places = np.ones(len(table), bool), []
        for i, number in enumerate(self.coordinates.described):
            if number.whole and i not in self.axes:
                inside &= table[:, i] == fixed[i]
        for axis, values in zip(reversed(self.axes), (self.y, self.x), strict=True):
            distance = np.abs(table[:, axis, None] - values)  # (n, values)
            if len(values) > 1:
                inside &= distance.min(1) <= 0.5001 * abs(values[1] - values[0])
            places.append(distance.argmin(1))
        np.add.at(counts, tuple(place[inside] for place in places), 1)
        return counts
