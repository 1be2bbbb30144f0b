"""Environments that misbehave from a step on, each in one way: `Misbehaving-WAY-v0` in the registry of gymnasium.

They observe three real numbers, those in DISCRETE one of five states, and end after LENGTH steps. WAYS says what
becomes of each: the start of a message, `warns` and a part of the warning, or `works`. Variables of the process change
them: MISBEHAVE_AT is the step; MISBEHAVE_SHARE that of the episodes in which it happens, drawn from their seeds, 0 for
an environment that has been mended; MISBEHAVE_MARK is a file that is made when it happens.
"""

import os
import random
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

AT, LENGTH = 7, 20  # the step that misbehaves, and the last one of an episode
STEP = "returned {} from step()"


class Misbehaving(gym.Env):
    """Behaves until step `at` of a bad episode. `way` is a name in WAYS."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, way: str, render_mode: str | None = None) -> None:
        self.way, self.render_mode = way, render_mode
        self.at, self.share = int(os.environ.get("MISBEHAVE_AT", AT)), float(os.environ.get("MISBEHAVE_SHARE", "1"))
        self.action_space = spaces.Discrete(2)
        low, high = (0, 255) if way in BYTES else (-10, 10)
        self.observation_space = spaces.Box(low, high, (3,), np.uint8 if way in BYTES else np.float32)
        if way in DISCRETE:
            self.observation_space = spaces.Discrete(5)
        self.values, self.closed = np.zeros(3, np.float32), False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.start = 0, float(self.np_random.random())
        self.bad = self.start < self.share
        if self.bad and self.way in RESETS:
            self._mark()
            return RESETS[self.way](self)
        return self.observe(), {}

    def step(self, action):
        if self.closed:
            raise RuntimeError("stepped after its close()")
        self.t += 1
        result = [self.observe(), 1.0, False, self.t >= LENGTH and self.way != "endless", {}]
        if self.bad and self.t >= self.at and self.way in CHANGES:
            self._mark()
            place, change = CHANGES[self.way]
            if place is None:
                return change(self, result)
            result[place] = change(self, result[place])
        return tuple(result)

    def observe(self):
        if self.way in DISCRETE:
            return self.t % 5
        values = [self.start, self.t / LENGTH, 1.0] if self.way not in BYTES else [1, self.t, 255]
        if self.way == "mutates":
            self.values[:] = values
            return self.values
        return np.array(values, self.observation_space.dtype)

    def render(self):
        return np.full((24, 32, 3), 10 * self.t % 256, np.uint8)

    def _mark(self):
        if "MISBEHAVE_MARK" in os.environ:
            Path(os.environ["MISBEHAVE_MARK"]).touch()

    def close(self):
        self.closed = True
        if self.way == "close-raises" and self.share:
            self._mark()
            raise RuntimeError("nothing to close")


def _new_actions(env):
    env.action_space = spaces.Discrete(3)
    return env.observe(), {}


def _raise(error):
    def change(env, value):
        raise error

    return None, change


def _print(env, value):
    print("a line of the environment")
    return value


def _close(env, value):
    env.close()
    return value


def _fork(env, value):
    if env.t > env.at:
        return value
    if os.fork() == 0:
        return value  # the copy goes on as if it were the run
    os.wait()
    return value


def _sleep(env, value):
    while True:
        time.sleep(1000)


def _spin(env, value):
    while True:
        pass


def _catch(env, value):
    """Swallows the interruption."""
    while True:
        with suppress(BaseException):
            time.sleep(1000)


def _random(env, value):
    return value + np.float32(random.random())


def _numpy(env, value):
    return value + np.float32(np.random.random())  # noqa: NPY002  # as such environments do


def _torch(env, value):
    return value + np.float32(torch.rand(1).item())


def _unseeded(env, value):
    return value + np.float32(UNSEEDED.random())


def _to(value):
    return lambda env, former: value


def _with(place, value):
    """The observation with one number replaced."""

    def change(env, observation):
        observation = observation.copy()
        observation[place] = value
        return observation

    return change


UNSEEDED = np.random.default_rng()
OBSERVATION, REWARD, TERMINATED, TRUNCATED, INFO = range(5)
BYTES = {"bytes-of-floats", "bytes-of-whole-floats"}
DISCRETE = {"state-negative", "state-too-large", "state-fraction", "state-none", "state-array"}
RESETS = {
    "reset-without-info": lambda env: env.observe(),
    "reset-none": lambda env: None,
    "reset-nan": lambda env: (np.full(3, np.nan, np.float32), {}),
    "reset-scalar": lambda env: (0.5, {}),
    "reset-raises": lambda env: 1 / 0,
    "space-changes": _new_actions,
}
CHANGES: dict[str, Any] = {
    "reward-none": (REWARD, _to(None)),
    "reward-string": (REWARD, _to("1.0")),
    "reward-array": (REWARD, _to(np.ones(2))),
    "reward-complex": (REWARD, _to(1j)),
    "reward-nan": (REWARD, _to(np.nan)),
    "reward-infinite": (REWARD, _to(-np.inf)),
    "reward-huge": (REWARD, _to(1e300)),
    "reward-of-one": (REWARD, _to(np.ones(1))),
    "reward-integer": (REWARD, _to(np.int64(1))),
    "observation-none": (OBSERVATION, _to(None)),
    "observation-scalar": (OBSERVATION, _to(0.5)),
    "observation-string": (OBSERVATION, _to("abc")),
    "observation-short": (OBSERVATION, _to(np.zeros(1, np.float32))),
    "observation-row": (OBSERVATION, lambda env, value: value[None]),
    "observation-ragged": (OBSERVATION, _to([1.0, [2.0], 3.0])),
    "observation-nan": (OBSERVATION, _with(1, np.nan)),
    "observation-infinite": (OBSERVATION, _with(2, np.inf)),
    "observation-outside": (OBSERVATION, _with(0, 11.0)),
    "observation-double": (OBSERVATION, lambda env, value: value.astype(np.float64)),
    "observation-list": (OBSERVATION, lambda env, value: value.tolist()),
    "bytes-of-floats": (OBSERVATION, lambda env, value: value / 255),
    "bytes-of-whole-floats": (OBSERVATION, lambda env, value: value.astype(np.float64)),
    "state-negative": (OBSERVATION, _to(-1)),
    "state-too-large": (OBSERVATION, _to(5)),
    "state-fraction": (OBSERVATION, _to(1.5)),
    "state-none": (OBSERVATION, _to(None)),
    "state-array": (OBSERVATION, lambda env, value: np.array([value])),
    "terminated-none": (TERMINATED, _to(None)),
    "terminated-string": (TERMINATED, _to("False")),
    "truncated-number": (TRUNCATED, _to(0.5)),
    "info-none": (INFO, _to(None)),
    "info-list": (INFO, _to(["lives"])),
    "four-values": (None, lambda env, result: tuple(result[:4])),
    "no-tuple": (None, lambda env, result: None),
    "raises": _raise(ZeroDivisionError("two lines\nof text")),
    "raises-without-text": _raise(KeyError()),
    "raises-exit": _raise(SystemExit(3)),
    "raises-interrupt": _raise(KeyboardInterrupt()),
    "raises-base": _raise(GeneratorExit("a base exception")),
    "raises-memory": _raise(MemoryError("no room")),
    "calls-exit": (OBSERVATION, lambda env, value: sys.exit("good bye")),
    "sleeps": (OBSERVATION, _sleep),
    "spins": (OBSERVATION, _spin),
    "swallows": (OBSERVATION, _catch),
    "closes-itself": (OBSERVATION, _close),
    "prints": (OBSERVATION, _print),
    "forks": (OBSERVATION, _fork),
    "global-python": (OBSERVATION, _random),
    "global-numpy": (OBSERVATION, _numpy),
    "global-torch": (OBSERVATION, _torch),
    "unseeded": (OBSERVATION, _unseeded),
}
WAYS = {  # the message after the name of the environment, or what it does
    "reward-none": STEP.format("the reward None, which is no number"),
    "reward-string": STEP.format("the reward '1.0', which is no number"),
    "reward-array": STEP.format("the reward array([1., 1.]), which is no number"),
    "reward-complex": STEP.format("the reward 1j, which is no number"),
    "reward-nan": STEP.format("the reward nan, which is not finite"),
    "reward-infinite": STEP.format("the reward -inf, which is not finite"),
    "reward-huge": STEP.format("the reward 1e+300, which is beyond the range of float32"),
    "reward-of-one": "works",
    "reward-integer": "works",
    "observation-none": STEP.format("the observation None, which is no array of numbers"),
    "observation-scalar": STEP.format("an observation of shape (), and its space has the shape (3,)"),
    "observation-string": STEP.format("the observation 'abc', which is no array of numbers"),
    "observation-short": STEP.format("an observation of shape (1,), and its space has the shape (3,)"),
    "observation-row": STEP.format("an observation of shape (1, 3), and its space has the shape (3,)"),
    "observation-ragged": STEP.format("the observation [1.0, [2.0], 3.0], which is no array of numbers"),
    "observation-nan": STEP.format("an observation with nan at place 1, which is not finite"),
    "observation-infinite": STEP.format("an observation with inf at place 2, which is not finite"),
    "observation-outside": "warns outside its space, 11 at place 0, where -10 to 10 are allowed",
    "observation-double": "works",
    "observation-list": "works",
    "bytes-of-floats": STEP.format("an observation of float64 with the value 0.00392157, and its space is of uint8"),
    "bytes-of-whole-floats": "works",
    "state-negative": STEP.format("the observation -1, which is not in its space Discrete(5)"),
    "state-too-large": STEP.format("the observation 5, which is not in its space Discrete(5)"),
    "state-fraction": STEP.format("the observation 1.5, which is not in its space Discrete(5)"),
    "state-none": STEP.format("the observation None, which is not in its space Discrete(5)"),
    "state-array": "works",
    "terminated-none": STEP.format("terminated = None, which is neither true nor false"),
    "terminated-string": STEP.format("terminated = 'False', which is neither true nor false"),
    "truncated-number": STEP.format("truncated = 0.5, which is neither true nor false"),
    "info-none": STEP.format("the info None, which is no dict"),
    "info-list": STEP.format("the info ['lives'], which is no dict"),
    "four-values": STEP.format("4 values in place of (observation, reward, terminated, truncated, info)"),
    "no-tuple": STEP.format("None in place of (observation, reward, terminated, truncated, info)"),
    "raises": "failed in step(): ZeroDivisionError: two lines (misbehaving.py, line ",
    "raises-without-text": "failed in step(): KeyError (misbehaving.py, line ",
    "raises-exit": "failed in step(): SystemExit: 3 (misbehaving.py, line ",
    "raises-interrupt": "failed in step(): KeyboardInterrupt (misbehaving.py, line ",
    "raises-base": "failed in step(): GeneratorExit: a base exception (misbehaving.py, line ",
    "raises-memory": "failed in step(): MemoryError: no room (misbehaving.py, line ",
    "calls-exit": "failed in step(): SystemExit: good bye (misbehaving.py, line ",
    "reset-without-info": "returned array([0.",
    "reset-none": "returned None in place of (observation, info) from reset()",
    "reset-nan": "returned an observation with nan at place 0, which is not finite from reset()",
    "reset-scalar": "returned an observation of shape (), and its space has the shape (3,) from reset()",
    "reset-raises": "failed in reset(): ZeroDivisionError: division by zero (misbehaving.py, line ",
    "sleeps": "did not return from step() within 1 s, the limit of --step-timeout (misbehaving.py, line ",
    "spins": "did not return from step() within 1 s, the limit of --step-timeout (misbehaving.py, line ",
    "swallows": "did not return from step() within 1 s, the limit of --step-timeout, and could not be interrupted",
    "space-changes": "changed its actions from Discrete(2) to Discrete(3) in reset()",
    "closes-itself": "failed in step(): RuntimeError: stepped after its close() (misbehaving.py, line ",
    "close-raises": "warns failed in close(): RuntimeError: nothing to close",
    "mutates": "works",
    "prints": "works",
    "forks": "warns made a copy of the process in step(): the copy ends here",
    "global-python": "warns draws from the global random numbers of Python",
    "global-numpy": "warns draws from the global random numbers of numpy",
    "global-torch": "warns draws from the global random numbers of torch",
    "unseeded": "works",
}
assert {*CHANGES, *RESETS} <= {*WAYS}

gym.register("Misbehaving-endless-v0", Misbehaving, max_episode_steps=10**9, kwargs={"way": "endless"})
for _way in WAYS:
    gym.register(f"Misbehaving-{_way}-v0", Misbehaving, kwargs={"way": _way})
