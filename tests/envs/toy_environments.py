"""Tiny environments with results that a test can compute by itself: `Test...-v0` in the registry of gymnasium."""

import itertools
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

with warnings.catch_warnings(), suppress(ImportError):
    warnings.simplefilter("ignore")  # with warnings as errors the first import of Box2D crashes
    import Box2D  # noqa: F401


class Counting(gym.Env):
    """Observes (number of the episode, t). Each episode draws its length, its rewards and the kind of its end.

    `finished` lists the true (return, length) of every episode of every copy, in the order of their ends.
    """

    observation_space = spaces.Box(0, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(3)
    episodes: ClassVar[itertools.count] = itertools.count()
    finished: ClassVar[list[tuple[float, int]]] = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.t, self.total = next(self.episodes), 0, 0.0
        self.length, self.terminates = int(self.np_random.integers(1, 8)), bool(self.np_random.integers(2))
        return self._observe(), {}

    def step(self, action):
        assert self.t < self.length, "stepped after its end"
        self.t += 1
        reward = float(self.np_random.random())
        self.total += reward
        end = self.t == self.length
        if end:
            self.finished.append((self.total, self.t))
        return self._observe(), reward, end and self.terminates, end and not self.terminates, {}

    def _observe(self):
        return np.array([self.episode, self.t], np.float32)


class Ring(gym.Env):
    """Five states in a circle, each step to the next one with reward 1: a return of 5 where truncated after 5 steps.

    Without termination the value of every state is 1 / (1 - γ).
    """

    observation_space = spaces.Discrete(5)
    action_space = spaces.Discrete(2)

    def __init__(self, terminates: bool = False) -> None:
        self.terminates = terminates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return 0, {}

    def step(self, action):
        self.t += 1
        return self.t % 5, 1.0, self.terminates and self.t == 5, False, {}


class Identity(gym.Env):
    """Reward 1 for the action with the number of the observation; observations are independent draws."""

    observation_space = spaces.Discrete(4)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._draw(), {}

    def step(self, action):
        reward = float(action == self.place)
        return self._draw(), reward, False, False, {}

    def _draw(self):
        self.place = int(self.np_random.integers(4))
        return self.place


class Chain(gym.Env):
    """Five states in a row, a random one at the start: action 1 moves right, 0 left, at the left end not at all.

    A move beyond the right end has reward 1 and terminates.
    """

    observation_space = spaces.Discrete(5)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(5))
        return self.place, {}

    def step(self, action):
        self.place, reward, terminated = chain(self.place, int(action))
        return self.place, reward, terminated, False, {}


def chain(place: int, action: int) -> tuple[int, float, bool]:
    """The next state of the Chain, the reward, and whether the episode terminates."""
    if action == 0:
        return max(place - 1, 0), 0.0, False
    return (place, 1.0, True) if place == 4 else (place + 1, 0.0, False)


class Nondeterministic(gym.Env):
    """Its observations do not depend on the seed, so repeated actions reach other observations."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)
    outside = np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return self.outside.random(1).astype(np.float32), 1.0, False, False, {}


class UnstableLength(Nondeterministic):
    """Terminates after the next number of steps in `lengths`, whatever the seed; a later step is an error."""

    lengths: ClassVar[Iterator[int]] = itertools.repeat(9)

    def reset(self, *, seed=None, options=None):
        self.left = next(self.lengths)
        return super().reset(seed=seed)

    def step(self, action):
        assert self.left > 0, "stepped after its end"
        self.left -= 1
        return np.zeros(1, np.float32), 1.0, self.left == 0, False, {}


class Sampled(gym.Env):
    """Observes samples of any space; rewards are 1, and the registered time limit ends the episode."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any] | None = None) -> None:
        self.observation_space, self.action_space = observation_space, action_space or spaces.Discrete(3, start=2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        return self.observation_space.sample(), 1.0, False, False, {}


class Failing(Nondeterministic):
    """Raises ValueError in the method `where`."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(self, where: str, render_mode: str | None = None) -> None:
        self.where, self.render_mode = where, render_mode
        self._fail("make")

    def _fail(self, here: str) -> None:
        if self.where == here:
            raise ValueError("first line\nsecond line")

    def reset(self, *, seed=None, options=None):
        self._fail("reset")
        return super().reset(seed=seed)

    def step(self, action):
        self._fail("step")
        return super().step(action)

    def render(self):
        self._fail("render")
        return np.zeros((4, 4, 3), np.uint8)


class Lives(gym.Env):
    """Observes the time as one-hot; every third step costs one of three lives, and the last one ends the episode.

    The lives are in the info of steps that change them, and in that of a reset of the even copies only.
    """

    observation_space = spaces.Discrete(10)
    action_space = spaces.Discrete(2)
    copies: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self, everywhere: bool = True) -> None:
        self.everywhere, self.copy = everywhere, next(self.copies)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return 0, {"lives": 3} if self.everywhere or self.copy % 2 == 0 else {}

    def step(self, action):
        self.t += 1
        lives = 3 - self.t // 3
        info = {"lives": lives} if self.everywhere or self.t % 3 != 1 else {}
        return self.t, (5.0, -2.0, 0.0)[self.t % 3], lives == 0, False, info


class Masked(gym.Env):
    """Allows its first action only, and none after step `none`; terminates at its fourth step, if it `ends`.

    Its mask, of the size `width`, is in the info of the even copies from time `first` on.
    """

    observation_space = spaces.Discrete(5)
    action_space = spaces.Discrete(3)
    copies: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self, none: int = 4, ends: bool = True, width: int = 3, first: int = 0, odd: bool = True) -> None:
        self.none, self.ends, self.width, self.first = none, ends, width, first
        self.masked = next(self.copies) % 2 == 0 or odd

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return 0, self._mask()

    def step(self, action):
        self.t += 1
        return self.t, 1.0, self.ends and self.t == 4, False, self._mask()

    def _mask(self):
        if self.t < self.first or not self.masked:
            return {}
        mask = np.zeros(self.width, np.int8)
        mask[0] = self.t < self.none
        return {"action_mask": mask}


def _register(name: str, entry: type[gym.Env], limit: int | None = None, **kwargs: Any) -> None:
    gym.register(f"Test{name}-v0", entry, max_episode_steps=limit, kwargs=kwargs)


BOX = spaces.Box(-1, 1, (3,), np.float32)

_register("Counting", Counting)
_register("Endless", Ring)
_register("Truncated", Ring, 5)
_register("Terminated", Ring, terminates=True)
_register("Both", Ring, 5, terminates=True)
_register("Identity", Identity, 10)
_register("Chain", Chain, 20)
_register("Nondeterministic", Nondeterministic, 50)
_register("UnstableLength", UnstableLength)
for _where in ("make", "reset", "step", "render"):
    _register(f"Failing-{_where}", Failing, 50, where=_where)
_register("Vector", Sampled, 4, observation_space=BOX)
_register("Image", Sampled, 4, observation_space=spaces.Box(0, 255, (4, 4, 3), np.uint8))
_register("Discrete", Sampled, 4, observation_space=spaces.Discrete(4, start=2))
_register("MultiDiscrete", Sampled, 4, observation_space=spaces.MultiDiscrete([2, 3]))
_register("Tuple", Sampled, 4, observation_space=spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2)]))
_register("Dict", Sampled, 4, observation_space=spaces.Dict(place=spaces.Discrete(3), speed=BOX))
_register("Sequence", Sampled, 4, observation_space=spaces.Sequence(spaces.Discrete(3)))
_register("Graph", Sampled, 4, observation_space=spaces.Graph(BOX, None))
_register("Continuous", Sampled, 4, observation_space=BOX, action_space=BOX)
_register("Buttons", Sampled, 4, observation_space=BOX, action_space=spaces.MultiDiscrete([2, 2]))
_register(
    "Screen", Sampled, 7, observation_space=spaces.Box(0, 255, (2, 3, 5), np.uint8), action_space=spaces.Discrete(3)
)
_register("Planes", Sampled, 4, observation_space=spaces.Box(0, 1, (2, 3, 5), bool))
_register("SmallImage", Sampled, 6, observation_space=spaces.Box(0, 255, (36, 36, 1), np.uint8))
_register("GrayImage", Sampled, 4, observation_space=spaces.Box(0, 255, (4, 6), np.uint8))
_register("FloatImage", Sampled, 4, observation_space=spaces.Box(-1, 1, (4, 5, 3), np.float32))
_register("FloatMatrix", Sampled, 4, observation_space=spaces.Box(-1, 1, (2, 4), np.float32))
_register("Bytes", Sampled, 4, observation_space=spaces.Box(0, 255, (7,), np.uint8))
BYTES = spaces.Box(0, 255, (2,), np.uint8)
_register("MixedBytes", Sampled, 4, observation_space=spaces.Dict(memory=BYTES, place=spaces.Discrete(3)))
_register("SmallBytes", Sampled, 4, observation_space=spaces.Box(0, 7, (3,), np.uint8))
_register("Lives", Lives, 30)
_register("SomeLives", Lives, 30, everywhere=False)
_register("Masked", Masked, 30)
_register("MaskedEven", Masked, 30, odd=False)
_register("MaskedLate", Masked, 30, first=2)
_register("MaskedStart", Masked, 30, none=0)
_register("MaskedStep", Masked, 30, none=2)
_register("MaskedCut", Masked, 4, ends=False)
_register("MaskedWide", Masked, 30, width=4)
