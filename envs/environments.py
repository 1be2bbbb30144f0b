"""The environments inside a `VectorEnv`: their protocol, and the loop over environments made by gymnasium."""

import dataclasses
import os
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import FlattenObservation
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.envs.names import refuse_raw_atari, specification
from rlgen.envs.preprocessing import Preprocessing

# Frames (N, *frame), rewards (N,), terminated (N,), truncated (N,).
StepArrays = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]


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
    Raises UserError for an environment that cannot be made, fails, has actions that are not discrete, or has its
    first action mask later than in the info of the first resets, when the agent's replay buffer has no room for it.
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
        self.envs = [_make(name, render_mode, repeat_action_probability) for _ in range(num_envs)]
        env = self.envs[0]
        if not isinstance(env.action_space, Discrete):
            raise UserError(f"{name} has the actions {env.action_space}: only Discrete ones are supported")
        self.num_actions, self.first_action = int(env.action_space.n), int(env.action_space.start)
        self.preprocessing = Preprocessing(name, env.observation_space)
        if not isinstance(env.observation_space, Box):
            self.envs = [FlattenObservation(env) for env in self.envs]
        self.max_episode_steps = specification(name).max_episode_steps
        self.fps = float(env.metadata.get("render_fps") or 30)
        self.action_mask = np.ones((num_envs, 1), bool)
        self.lives: NDArray[np.int64] | None = None
        self.started = False  # whether the first resets, which decide about the action masks, are over

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[Any]:
        """Begin an episode in the n environments at `indices`, one seed each: the first frames, (n, *frame)."""
        raw = np.zeros((len(indices), *self.preprocessing.raw), self.preprocessing.dtype)
        infos: dict[int, dict[str, Any]] = {}
        for i, (index, seed) in enumerate(zip(indices.tolist(), seeds, strict=True)):
            try:
                raw[i], infos[index] = self.envs[index].reset(seed=seed)
            except Exception as error:
                raise failed(self.name, "reset", error) from error
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
        num_envs = len(self.envs)
        raw = np.zeros((num_envs, *self.preprocessing.raw), self.preprocessing.dtype)
        reward = np.zeros(num_envs)
        terminated, truncated = np.zeros(num_envs, bool), np.zeros(num_envs, bool)
        infos: dict[int, dict[str, Any]] = {}
        for index, action in enumerate(actions.tolist()):
            if running[index]:
                try:
                    raw[index], value, terminated[index], truncated[index], infos[index] = self.envs[index].step(
                        action + self.first_action
                    )
                except Exception as error:
                    raise failed(self.name, "step", error) from error
                reward[index] = float(value)
        self._read_infos(infos, "step")
        return self.preprocessing.to_frames(raw), reward, terminated, truncated

    def render(self, index: int) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of one environment made with `render_mode="rgb_array"`."""
        try:
            return np.asarray(self.envs[index].render(), np.uint8)
        except Exception as error:
            raise failed(self.name, "render", error) from error

    def close(self) -> None:
        """Release what the environments hold."""
        for env in self.envs:
            env.close()

    def _read_infos(self, infos: dict[int, dict[str, Any]], method: str) -> None:
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
            raise failed(self.name, method, error) from error


def failed(name: str, method: str, error: Exception) -> UserError:
    """An exception of an environment as one line."""
    return UserError(f"{name} failed in {method}(): {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")


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
    except Exception as error:
        raise failed(name, "make", error) from error
