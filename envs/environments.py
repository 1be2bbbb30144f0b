"""The environments inside a `VectorEnv`: their protocol, and the loop over environments made by gymnasium."""

import dataclasses
import logging
import math
import os
from collections.abc import Mapping
from math import isfinite
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from numpy import ndarray
from numpy.typing import NDArray

from rlgen.core.errors import EnvironmentFault, UserError
from rlgen.envs import forks
from rlgen.envs.contract import (
    LARGEST,
    Observations,
    Unfit,
    first_of,
    five_of,
    flag,
    information,
    nonfinite,
    number,
    shown,
)
from rlgen.envs.faults import fault, passes
from rlgen.envs.inspection import Inspection
from rlgen.envs.names import refuse_raw_atari, specification
from rlgen.envs.preprocessing import Preprocessing

# Frames (N, *frame), rewards (N,), terminated (N,), truncated (N,).
StepArrays = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]


SMALL = 64  # numbers that Python adds up faster than numpy


class Environments(Protocol):
    """N environments; episodes, returns, time limits and frame stacks are the work of `VectorEnv`.

    `action_mask` and `lives` are replaced by new arrays, never changed in place.
    """

    preprocessing: Preprocessing
    num_actions: int
    first_action: int  # number of the environment's first action; that of an agent is 0
    max_episode_steps: int | None  # steps after which an episode is truncated, in the registry of environments
    fps: float  # frames per second of a recorded episode
    action_mask: NDArray[np.bool_]  # (N, A) the actions allowed now, or (N, 1) True without action masks
    lives: NDArray[np.int64] | None  # (N,) lives left, 0 where unknown; None without lives

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[Any]:
        """Begin an episode in the n environments at `indices`, one seed each: the first frames, (n, *frame)."""

    def step(self, actions: NDArray[np.int64], running: NDArray[np.bool_]) -> StepArrays:
        """One step of the `running` (N,) environments; the rows of all others are meaningless."""

    def render(self, index: int) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of one environment."""

    def close(self) -> None:
        """Release windows, threads and emulators."""


class GymEnvironments:
    """A loop over N environments made by gymnasium.

    Action masks are read from `info["action_mask"]`, lives from `info["lives"]`, of every reset and step. An
    environment without a mask in its info allows all actions; lives without an entry are unchanged.
    Raises UserError for an environment that cannot be made, has actions that are not discrete, or has its first action
    mask later than in the info of the first resets, when the agent's replay buffer has no room for it. Raises
    EnvironmentFault for one that raises an exception, returns what it must not, or makes a copy of the process.
    """

    def __init__(
        self,
        name: str,
        num_envs: int,
        *,
        render_mode: str | None = None,
        repeat_action_probability: float | None = None,
    ) -> None:
        self.name = name
        before = forks.count
        self.envs = [_make(name, render_mode, repeat_action_probability) for _ in range(num_envs)]
        if forks.count != before:
            forks.leave(name, "make")
        self.action_space, space = _spaces(name, self.envs)
        self.num_actions, self.first_action = int(self.action_space.n), int(self.action_space.start)
        self.preprocessing = Preprocessing(name, space)
        self.raw_shape, self.raw_dtype = (num_envs, *self.preprocessing.raw), self.preprocessing.dtype
        self.observations = Observations(space)
        self.finite = self.observations.finite and self.preprocessing.dtype == np.float32  # may be otherwise
        self.small = math.prod(self.raw_shape) <= SMALL
        self.inspection, self.until_inspection = Inspection(name, space), 0  # calls
        self.max_episode_steps = specification(name).max_episode_steps
        self.fps = _frames_per_second(self.envs[0])
        self.action_mask = np.ones((num_envs, 1), bool)
        self.lives: NDArray[np.int64] | None = None
        self.started = False  # whether the first resets, which decide about the action masks, are over

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[Any]:
        """Begin an episode in the n environments at `indices`, one seed each: the first frames, (n, *frame)."""
        raw = np.zeros((len(indices), *self.preprocessing.raw), self.preprocessing.dtype)
        infos: dict[int, Mapping[str, Any]] = {}
        before = forks.count
        if inspected := self.until_inspection <= 0:
            self.until_inspection = self.inspection.begin()
        for i, (index, seed) in enumerate(zip(indices.tolist(), seeds, strict=True)):
            env = self.envs[index]
            try:
                observation, infos[index] = first_of(env.reset(seed=seed))
                self.observations.store(raw, i, observation)
            except BaseException as error:
                if passes(error):
                    raise
                raise fault(self.name, "reset", error, index) from error
            if env.action_space is not self.action_space and env.action_space != self.action_space:
                change = f"{self.name} changed its actions from {self.action_space} to {shown(env.action_space)}"
                raise EnvironmentFault(f"{change} in reset()", "reset", index)
        if forks.count != before:
            forks.leave(self.name, "reset")
        if self.finite:
            self._check_finite(raw, "reset", indices.tolist())
        if inspected:
            self.inspection.end(raw)
        if not self.started and any("action_mask" in info for info in infos.values()):
            self.action_mask = np.ones((len(self.envs), self.num_actions), bool)
        self.started = True
        if self.lives is not None:
            self.lives = self.lives.copy()
            self.lives[indices] = 0
        self._read_infos(infos, "reset")
        return self.preprocessing.to_frames(raw)

    def step(self, actions: NDArray[np.int64], running: NDArray[np.bool_]) -> StepArrays:
        """One step of the `running` (N,) environments."""
        num_envs, observations = len(self.envs), self.observations
        raw = np.zeros(self.raw_shape, self.raw_dtype)
        reward = np.zeros(num_envs)
        terminated, truncated = np.zeros(num_envs, bool), np.zeros(num_envs, bool)
        infos: dict[int, Mapping[str, Any]] = {}
        masked, before = self.action_mask.shape[1] > 1, forks.count
        self.until_inspection -= 1
        if inspected := self.until_inspection < 0:
            self.until_inspection = self.inspection.begin()
        for index, action in enumerate(actions.tolist()):
            if not running[index]:
                continue
            try:
                result = self.envs[index].step(action + self.first_action)
                if type(result) is not tuple or len(result) != 5:
                    result = five_of(result)
                observation, value, ended, cut, info = result
                if (
                    type(observation) is ndarray
                    and observation.dtype is observations.dtype
                    and observation.shape == observations.shape
                ):
                    raw[index] = observation
                else:
                    observations.store(raw, index, observation)
                if type(value) is not float or not -LARGEST <= value <= LARGEST:
                    value = number(value)
                reward[index] = value
                if ended is not False:
                    terminated[index] = flag(ended, "terminated")
                if cut is not False:
                    truncated[index] = flag(cut, "truncated")
                if type(info) is not dict or info or masked:
                    infos[index] = information(info)
            except BaseException as error:
                if passes(error):
                    raise
                raise fault(self.name, "step", error, index) from error
        if forks.count != before:
            forks.leave(self.name, "step")
        if self.finite and not (self.small and isfinite(sum(raw.ravel().tolist()))):
            self._check_finite(raw, "step")
        if inspected:
            self.inspection.end(raw[running])
        if infos:
            self._read_infos(infos, "step")
        return raw if self.preprocessing.plain else self.preprocessing.to_frames(raw), reward, terminated, truncated

    def render(self, index: int) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of one environment made with `render_mode="rgb_array"`."""
        try:
            picture = np.asarray(self.envs[index].render(), np.uint8)
            if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
                raise Unfit(f"a picture of shape {picture.shape} in place of (height, width, 3)")
        except BaseException as error:
            if passes(error):
                raise
            raise fault(self.name, "render", error, index) from error
        return picture

    def close(self) -> None:
        """Release what the environments hold. An exception is a warning: nothing is lost by it any more."""
        for env in self.envs:
            try:
                env.close()
            except BaseException as error:
                if passes(error):
                    raise
                logging.getLogger("rlgen").warning(str(fault(self.name, "close", error)))

    def _check_finite(self, raw: NDArray[Any], method: str, indices: list[int] | None = None) -> None:
        """Raise EnvironmentFault where an observation is not finite."""
        if not math.isfinite(np.vdot(raw, raw)) and (found := nonfinite(raw)):
            row, what = found
            raise fault(self.name, method, Unfit(what), row if indices is None else indices[row])

    def _read_infos(self, infos: dict[int, Mapping[str, Any]], method: str) -> None:
        """Update the action masks and lives from the infos of the environments that were reset or stepped."""
        masks = {index: info["action_mask"] for index, info in infos.items() if "action_mask" in info}
        lives = {index: info["lives"] for index, info in infos.items() if "lives" in info}
        if masks and self.action_mask.shape[1] == 1:
            raise UserError(
                f"{self.name} has an action_mask in the info of {method}(), but had none in that of its first reset():"
                " an environment with action masks must return one from its first reset() on"
            )
        try:
            if self.action_mask.shape[1] > 1:
                action_mask = self.action_mask.copy()
                for index in infos:
                    action_mask[index] = np.asarray(masks.get(index, True), bool)
                self.action_mask = action_mask
            if lives:
                self.lives = np.zeros(len(self.envs), np.int64) if self.lives is None else self.lives.copy()
                for index, count in lives.items():
                    self.lives[index] = count
        except Exception as error:
            raise fault(self.name, method, error) from error


def _spaces(name: str, envs: list[gym.Env[Any, Any]]) -> tuple[Discrete, gym.Space[Any]]:
    """The action and observation spaces, the same for all copies. Raises UserError where they are none of ours."""
    actions, space = (getattr(envs[0], attribute, None) for attribute in ("action_space", "observation_space"))
    if not isinstance(actions, Discrete):
        raise UserError(f"{name} has the actions {shown(actions)}: only Discrete ones are supported")
    if not isinstance(space, gym.Space):
        raise UserError(f"{name} has the observation_space {shown(space)}: it must be a space of gymnasium")
    for env in envs[1:]:
        if env.action_space != actions or env.observation_space != space:
            raise UserError(f"{name} has other spaces in each of its copies: one network cannot learn from them all")
    return actions, space


def _frames_per_second(env: gym.Env[Any, Any]) -> float:
    """Of its pictures, as the environment says; else 30."""
    try:
        fps = float((env.metadata or {}).get("render_fps") or 30)
    except (AttributeError, TypeError, ValueError):
        return 30.0
    return fps if 0 < fps < math.inf else 30.0


def _make(name: str, render_mode: str | None, repeat_action_probability: float | None) -> gym.Env[Any, Any]:
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame draws in memory and opens no window
    options: dict[str, Any] = {"render_mode": render_mode} if render_mode else {}  # some take no such argument
    if repeat_action_probability is not None:
        options["repeat_action_probability"] = repeat_action_probability
    try:
        # VectorEnv keeps the order of calls and the time limit, so gymnasium's wrappers for them are left out.
        spec = dataclasses.replace(
            specification(name), max_episode_steps=None, order_enforce=False, disable_env_checker=True
        )
        refuse_raw_atari(spec, name)
        return gym.make(spec, **options)
    except UserError:
        raise
    except (gym.error.Error, ImportError) as error:
        hint = str(error).rstrip(".").replace("gymnasium[box2d]", "rlgen[box2d]")
        if isinstance(error, ModuleNotFoundError):
            hint += ": install it, or put its folder on PYTHONPATH"
        raise UserError(f"{name} cannot be made: {hint}") from None
    except BaseException as error:
        if passes(error):
            raise
        raise fault(name, "make", error) from error
