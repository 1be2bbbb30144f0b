"""An observation as the numbers it consists of, with names and bounds, and numbers as an observation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete, flatten_space
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.envs.labels import FACTORS, NUMBERS, base
from rlgen.envs.mdp import sizes
from rlgen.envs.vector_env import VectorEnv

LARGE = 1e4  # bounds beyond it say nothing about the values that occur


class Number(NamedTuple):
    """A number of an observation."""

    name: str
    low: float | None  # smallest value; None where the space has no useful bound
    high: float | None  # largest value
    whole: bool  # whether it is a whole number


class Numbers:
    """The numbers of one observation of an environment: discrete ones themselves, not their one-hot vectors.

    `described` has an entry per number; of a stack of frames those of the oldest frame come first. Raises UserError for
    an environment whose observations are images.
    """

    def __init__(self, env: VectorEnv) -> None:
        preprocessing = env.preprocessing
        if preprocessing.image:
            raise UserError(f"the observations of {env.name} are images: cover their pixels instead")
        self.shape, self.dtype, self.stack, space = env.shape, env.dtype, env.frame_stack, preprocessing.space
        self.counts = sizes(space)  # of the one-hot vectors; None for a vector of real numbers
        self.factors: tuple[int, ...] = ()  # of the only discrete number
        if self.counts is None:
            frame = self._reals(env)
        else:
            frame = self._discrete(env, self.counts)
        ages = range(self.stack - 1, -1, -1)
        self.described = [n._replace(name=n.name + _ago(age)) for age in ages for n in frame]

    def read(self, observation: NDArray[Any]) -> list[float]:
        """The numbers of a preprocessed observation, (*shape,)."""
        frames = observation.reshape(self.stack, -1)
        if self.counts is None:
            return [float(x) for x in frames.ravel()]
        ends = np.cumsum(self.counts)[:-1]
        found: list[float] = []
        for frame in frames:
            places = [int(part.argmax()) for part in np.split(frame, ends)]
            found += map(float, np.unravel_index(places[0], self.factors) if self.factors else places)
        return found

    def write(self, numbers: Sequence[float]) -> NDArray[Any]:
        """The preprocessed observation (*shape,) of these numbers. Raises UserError for another count or a value that
        is no number or, where it is discrete, out of range."""
        x = np.asarray(numbers, np.float64)
        if x.shape != (len(self.described),):
            raise UserError(f"an observation has {len(self.described)} numbers, not {x.size}")
        if not np.isfinite(x).all():
            raise UserError("the numbers of an observation are finite")
        if self.counts is None:
            return x.astype(self.dtype).reshape(self.shape)
        for value, number in zip(x, self.described, strict=True):
            if not (number.low or 0.0) <= round(float(value)) <= (number.high or 0.0):
                raise UserError(f"{number.name} lies between {number.low:g} and {number.high:g}, not {value:g}")
        rows = []
        for frame in x.reshape(self.stack, -1):
            places = [round(float(value)) for value in frame]
            if self.factors:
                places = [int(np.ravel_multi_index(places, self.factors))]
            rows += [np.eye(size)[place] for place, size in zip(places, self.counts, strict=True)]
        return np.concatenate(rows).astype(self.dtype).reshape(self.shape)

    def _reals(self, env: VectorEnv) -> list[Number]:
        preprocessing = env.preprocessing
        space = preprocessing.space
        box = space if isinstance(space, Box) else flatten_space(space)
        assert isinstance(box, Box)
        divisor = 1.0 if preprocessing.divisor is None else preprocessing.divisor.astype(np.float64).ravel()
        low, high = (bound.astype(np.float64).ravel() / divisor for bound in (box.low, box.high))
        names = NUMBERS.get(base(env.name), ())
        if len(names) != len(low):
            names = tuple(f"number {place + 1}" for place in range(len(low)))
        useful = np.abs([low, high]).max(0) < LARGE
        return [
            Number(name, float(a) if ok else None, float(b) if ok else None, False)
            for name, a, b, ok in zip(names, low, high, useful, strict=True)
        ]

    def _discrete(self, env: VectorEnv, counts: list[int]) -> list[Number]:
        name = base(env.name)
        factors = _factors(env) if len(counts) == 1 else ()
        if factors:
            self.factors = tuple(size for _, size in factors)
            return [Number(label, 0.0, size - 1.0, True) for label, size in factors]
        names = NUMBERS.get(name, ())
        if len(names) != len(counts):
            names = ("state",) if len(counts) == 1 else tuple(f"number {place + 1}" for place in range(len(counts)))
        return [Number(label, 0.0, size - 1.0, True) for label, size in zip(names, counts, strict=True)]


def _factors(env: VectorEnv) -> tuple[tuple[str, int], ...]:
    """Name and count of the numbers that a state number consists of; empty where they are unknown."""
    space = env.preprocessing.space
    assert isinstance(space, Discrete)
    table = FACTORS.get(base(env.name), ())
    if base(env.name) == "FrozenLake":
        rows, columns = env.environments.envs[0].unwrapped.desc.shape  # type: ignore[attr-defined]
        table = (("row", rows), ("column", columns))
    return table if np.prod([size for _, size in table]) == space.n else ()


def _ago(age: int) -> str:
    """A suffix for the numbers of an earlier frame."""
    return "" if not age else f", {age} step{'s' if age > 1 else ''} ago"
