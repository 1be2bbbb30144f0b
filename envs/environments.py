"""What `Lanes` steps: L environments side by side, and the loop over those that gymnasium makes."""

import dataclasses
import os
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import FlattenObservation
from numpy.typing import NDArray
from rlgen.envs.names import specification
from rlgen.envs.preprocessing import Preprocessing

from rlgen.core.errors import UserError

StepArrays = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]


class Environments(Protocol):
    """L environments without memory of episodes, scores, limits or stacks of frames: `Lanes` sees to these.

    `legal` and `lives` are new arrays after every call that changes them.
    """

    preprocessing: Preprocessing
    actions: int
    first_action: int
    max_episode_steps: int | None  # steps after which an episode of this environment is cut off
    fps: float
    action_mask: NDArray[np.bool_]  # (L, A) the actions allowed now, or (L, 1) where all always are
    lives: NDArray[np.int64] | None  # (L,) left now, where they are counted

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[Any]:
        """Begin an episode from its seed in each of these n lanes: its first frame, (n, *frame)."""

    def step(self, actions: NDArray[np.int64], live: NDArray[np.bool_]) -> StepArrays:
        """Frames (L, *frame), rewards, terminated and truncated (L,), of use for the lanes that live."""

    def render(self, index: int) -> NDArray[np.uint8]:
        """A picture (H, W, 3)."""

    def close(self) -> None:
        """Free what is held, windows for example."""


class GymEnvironments:
    """A loop over environments made by gymnasium. Raises UserError for one that cannot be made or used."""

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
            raise UserError(
                f"{name} has the actions {env.action_space}: only discrete ones so far, like those of CartPole"
            )
        self.num_actions, self.first_action = int(env.action_space.n), int(env.action_space.start)
        self.preprocessing = Preprocessing(name, env.observation_space)
        if not isinstance(env.observation_space, Box):
            self.envs = [FlattenObservation(env) for env in self.envs]
        self.max_episode_steps = specification(name).max_episode_steps
        self.fps = float(env.metadata.get("render_fps") or 30)
        self.action_mask = np.ones((num_envs, 1), bool)
        self.lives: NDArray[np.int64] | None = None
        self.infos_needed: bool | None = None  # the infos hold masks or lives; seen at the first of them

    def reset(self, indices: NDArray[np.int64], seeds: list[int]) -> NDArray[Any]:
        """Begin an episode from its seed in each of these lanes: (n, *frame)."""
        raw, infos = np.zeros((len(indices), *self.preprocessing.raw), self.preprocessing.dtype), {}
        for i, (index, seed) in enumerate(zip(indices.tolist(), seeds, strict=True)):
            try:
                raw[i], infos[index] = self.envs[index].reset(seed=seed)
            except Exception as error:
                raise failed(self.name, "reset", error) from error
        if self.infos_needed is None:
            self.infos_needed = bool({"action_mask", "lives"} & set(infos[index]))
            if "action_mask" in infos[index]:
                self.action_mask = np.ones((len(self.envs), self.num_actions), bool)
            if "lives" in infos[index]:
                self.lives = np.zeros(len(self.envs), np.int64)
        if self.infos_needed:
            self._read_infos(infos, "reset")
        return self.preprocessing.to_frames(raw)

    def step(self, actions: NDArray[np.int64], live: NDArray[np.bool_]) -> StepArrays:
        """One step of the lanes that live."""
        num_envs = len(self.envs)
        raw = np.zeros((num_envs, *self.preprocessing.raw), self.preprocessing.dtype)
        reward = np.zeros(num_envs)
        terminated, truncated = np.zeros(num_envs, bool), np.zeros(num_envs, bool)
        infos = {}
        for index, action in enumerate(actions.tolist()):
            if live[index]:
                try:
                    raw[index], value, terminated[index], truncated[index], infos[index] = self.envs[index].step(
                        action + self.first_action
                    )
                except Exception as error:
                    raise failed(self.name, "step", error) from error
                reward[index] = float(value)
        if self.infos_needed:
            self._read_infos(infos, "step")
        return self.preprocessing.to_frames(raw), reward, terminated, truncated

    def render(self, index: int) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of a lane made with `render_mode="rgb_array"`."""
        try:
            return np.asarray(self.envs[index].render(), np.uint8)
        except Exception as error:
            raise failed(self.name, "render", error) from error

    def close(self) -> None:
        """Free what the environments hold."""
        for env in self.envs:
            env.close()

    def _read_infos(self, infos: dict[int, dict[str, Any]], where: str) -> None:
        """Take masks and lives from what the environments tell beside their observations."""
        action_mask, lives = self.action_mask.copy(), None if self.lives is None else self.lives.copy()
        try:
            for index, info in infos.items():
                if action_mask.shape[1] > 1:
                    action_mask[index] = np.asarray(info["action_mask"], bool)
                if lives is not None:
                    lives[index] = info["lives"]
        except Exception as error:
            raise failed(self.name, where, error) from error
        self.action_mask, self.lives = action_mask, lives


def failed(name: str, where: str, error: Exception) -> UserError:
    """A fault of an environment in one line."""
    return UserError(f"{name} failed in {where}(): {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")


def _make(name: str, render_mode: str | None, repeat_action_probability: float | None) -> gym.Env[Any, Any]:
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures are drawn in memory, a window is never opened
    wanted: dict[str, Any] = {"render_mode": render_mode} if render_mode else {}  # not all know the word
    if repeat_action_probability is not None:
        wanted["repeat_action_probability"] = repeat_action_probability
    try:
        # Lanes keeps to the order of calls and cuts episodes off, so the wrappers that do are left out.
        spec = dataclasses.replace(
            specification(name), max_episode_steps=None, order_enforce=False, disable_env_checker=True
        )
        return gym.make(spec, **wanted)
    except (gym.error.Error, ImportError) as error:
        hint = str(error).rstrip(".").replace("gymnasium[box2d]", "rlgen[box2d]")
        if isinstance(error, ModuleNotFoundError):
            hint += ": install it, or put its folder on PYTHONPATH"
        raise UserError(f"{name} cannot be made: {hint}") from None
    except Exception as error:
        raise failed(name, "make", error) from error
