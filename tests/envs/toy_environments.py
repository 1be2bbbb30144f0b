"""Tiny environments whose every number a test can work out by itself."""

import itertools
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces

with warnings.catch_warnings(), suppress(ImportError):
    warnings.simplefilter("ignore")  # where warnings are errors, the first import of Box2D ends in a crash
    import Box2D  # noqa: F401


class Counting(gym.Env):
    """Observes (episode, t). Length, rewards and the way it ends are drawn anew for each episode.

    `finished` keeps the true (return, length) of every episode of every copy, in the order of their ends.
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
        over = self.t == self.length
        if over:
            self.finished.append((self.total, self.t))
        return self._observe(), reward, over and self.terminates, over and not self.terminates, {}

    def _observe(self):
        return np.array([self.episode, self.t], np.float32)


class Ring(gym.Env):
    """Five places in a circle, one step each, always reward 1: a return of 5 where it is cut off after 5 steps.

    Where nothing terminates, every place is worth 1 / (1 - γ).
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
    """Reward 1 for the action that is named by the observation, which is then drawn anew."""

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
    """Five places in a row: action 1 goes right, 0 left; leaving at the right end brings 1 and ends it.

    At the left end one stays. It starts anywhere.
    """

    observation_space = spaces.Discrete(5)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(5))
        return self.place, {}

    def step(self, action):
        self.place, reward, over = chain(self.place, int(action))
        return self.place, reward, over, False, {}


def chain(place: int, action: int) -> tuple[int, float, bool]:
    """Where an action leads in the Chain, its reward, and whether that ends the episode."""
    if action == 0:
        return max(place - 1, 0), 0.0, False
    return (place, 1.0, True) if place == 4 else (place + 1, 0.0, False)


class Forgetful(gym.Env):
    """Its observations do not follow from its seed: a resumed one stands elsewhere."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)
    outside = np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return self.outside.random(1).astype(np.float32), 1.0, False, False, {}


class Brittle(Forgetful):
    """Ends after the next number of steps in `lives`, whatever its seed, and bears no step beyond."""

    lives: ClassVar[Iterator[int]] = itertools.repeat(9)

    def reset(self, *, seed=None, options=None):
        self.left = next(self.lives)
        return super().reset(seed=seed)

    def step(self, action):
        assert self.left > 0, "stepped after its end"
        self.left -= 1
        return np.zeros(1, np.float32), 1.0, self.left == 0, False, {}


class Observed(gym.Env):
    """Observes a sample of any space, by its seed; whatever is done ends after four steps."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any] | None = None) -> None:
        self.observation_space, self.action_space = observation_space, action_space or spaces.Discrete(3, start=2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        return self.observation_space.sample(), 1.0, False, False, {}


class Faulty(Forgetful):
    """Fails where it is told to."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(self, where: str, render_mode: str | None = None) -> None:
        self.where, self.render_mode = where, render_mode
        self._fail("make")

    def _fail(self, here: str) -> None:
        if self.where == here:
            raise ValueError("a wheel\ncame off")

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
    """Observes the time as one-hot; every third step costs one of three lives, and the game ends with the last."""

    observation_space = spaces.Discrete(10)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return 0, {"lives": 3}

    def step(self, action):
        self.t += 1
        lives = 3 - self.t // 3
        return self.t, (5.0, -2.0, 0.0)[self.t % 3], lives == 0, False, {"lives": lives}


class Masked(gym.Env):
    """Allows its first action only, and none after step `none`; ends at its fourth step, if it `ends`."""

    observation_space = spaces.Discrete(5)
    action_space = spaces.Discrete(3)

    def __init__(self, none: int = 4, ends: bool = True, width: int = 3) -> None:
        self.none, self.ends, self.width = none, ends, width

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return 0, self._mask()

    def step(self, action):
        self.t += 1
        return self.t, 1.0, self.ends and self.t == 4, False, self._mask()

    def _mask(self):
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
_register("Forgetful", Forgetful, 50)
_register("Brittle", Brittle)
for _where in ("make", "reset", "step", "render"):
    _register(f"Faulty-{_where}", Faulty, 50, where=_where)
_register("Vector", Observed, 4, observation_space=BOX)
_register("Image", Observed, 4, observation_space=spaces.Box(0, 255, (4, 4, 3), np.uint8))
_register("Discrete", Observed, 4, observation_space=spaces.Discrete(4, start=2))
_register("MultiDiscrete", Observed, 4, observation_space=spaces.MultiDiscrete([2, 3]))
_register("Tuple", Observed, 4, observation_space=spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2)]))
_register("Dict", Observed, 4, observation_space=spaces.Dict(place=spaces.Discrete(3), speed=BOX))
_register("Sequence", Observed, 4, observation_space=spaces.Sequence(spaces.Discrete(3)))
_register("Graph", Observed, 4, observation_space=spaces.Graph(BOX, None))
_register("Continuous", Observed, 4, observation_space=BOX, action_space=BOX)
_register("Buttons", Observed, 4, observation_space=BOX, action_space=spaces.MultiDiscrete([2, 2]))
_register(
    "Screen", Observed, 7, observation_space=spaces.Box(0, 255, (2, 3, 5), np.uint8), action_space=spaces.Discrete(3)
)
_register("Planes", Observed, 4, observation_space=spaces.Box(0, 1, (2, 3, 5), bool))
_register("Film", Observed, 6, observation_space=spaces.Box(0, 255, (36, 36, 1), np.uint8))
_register("Grey", Observed, 4, observation_space=spaces.Box(0, 255, (4, 6), np.uint8))
_register("Heat", Observed, 4, observation_space=spaces.Box(-1, 1, (4, 5, 3), np.float32))
_register("Table", Observed, 4, observation_space=spaces.Box(-1, 1, (2, 4), np.float32))
_register("Memory", Observed, 4, observation_space=spaces.Box(0, 255, (7,), np.uint8))
_register("Lives", Lives, 30)
_register("Masked", Masked, 30)
_register("MaskedStart", Masked, 30, none=0)
_register("MaskedStep", Masked, 30, none=2)
_register("MaskedCut", Masked, 4, ends=False)
_register("MaskedWide", Masked, 30, width=4)
