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
from rlgen.envs.preprocessing import Sight

from rlgen.core.errors import UserError

Moved = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]


class Worlds(Protocol):
    """L environments without memory of episodes, scores, limits or stacks of frames: `Lanes` sees to these.

    `legal` and `lives` are new arrays after every call that changes them.
    """

    sight: Sight
    actions: int
    first_action: int
    limit: int | None  # steps after which an episode of this environment is cut off
    fps: float
    legal: NDArray[np.bool_]  # (L, A) the actions allowed now, or (L, 1) where all always are
    lives: NDArray[np.int64] | None  # (L,) left now, where they are counted

    def reset(self, lanes: NDArray[np.int64], seeds: list[int]) -> NDArray[Any]:
        """Begin an episode from its seed in each of these n lanes: its first frame, (n, *frame)."""

    def step(self, actions: NDArray[np.int64], live: NDArray[np.bool_]) -> Moved:
        """Frames (L, *frame), rewards, terminated and truncated (L,), of use for the lanes that live."""

    def render(self, lane: int) -> NDArray[np.uint8]:
        """A picture (H, W, 3)."""

    def close(self) -> None:
        """Free what is held, windows for example."""


class Singles:
    """A loop over environments made by gymnasium. Raises UserError for one that cannot be made or used."""

    def __init__(self, name: str, lanes: int, *, render_mode: str | None = None, sticky: float | None = None) -> None:
        self.name = name
        self.envs = [_make(name, render_mode, sticky) for _ in range(lanes)]
        env = self.envs[0]
        if not isinstance(env.action_space, Discrete):
            raise UserError(
                f"{name} has the actions {env.action_space}: only discrete ones so far, like those of CartPole"
            )
        self.actions, self.first_action = int(env.action_space.n), int(env.action_space.start)
        self.sight = Sight(name, env.observation_space)
        if not isinstance(env.observation_space, Box):
            self.envs = [FlattenObservation(env) for env in self.envs]
        self.limit = specification(name).max_episode_steps
        self.fps = float(env.metadata.get("render_fps") or 30)
        self.legal = np.ones((lanes, 1), bool)
        self.lives: NDArray[np.int64] | None = None
        self.told: bool | None = None  # the infos hold masks or lives; seen at the first of them

    def reset(self, lanes: NDArray[np.int64], seeds: list[int]) -> NDArray[Any]:
        """Begin an episode from its seed in each of these lanes: (n, *frame)."""
        raw, infos = np.zeros((len(lanes), *self.sight.raw), self.sight.dtype), {}
        for i, (lane, seed) in enumerate(zip(lanes.tolist(), seeds, strict=True)):
            try:
                raw[i], infos[lane] = self.envs[lane].reset(seed=seed)
            except Exception as error:
                raise failed(self.name, "reset", error) from error
        if self.told is None:
            self.told = bool({"action_mask", "lives"} & set(infos[lane]))
            if "action_mask" in infos[lane]:
                self.legal = np.ones((len(self.envs), self.actions), bool)
            if "lives" in infos[lane]:
                self.lives = np.zeros(len(self.envs), np.int64)
        if self.told:
            self._listen(infos, "reset")
        return self.sight.frames(raw)

    def step(self, actions: NDArray[np.int64], live: NDArray[np.bool_]) -> Moved:
        """One step of the lanes that live."""
        lanes = len(self.envs)
        raw = np.zeros((lanes, *self.sight.raw), self.sight.dtype)
        reward = np.zeros(lanes)
        terminated, truncated = np.zeros(lanes, bool), np.zeros(lanes, bool)
        infos = {}
        for lane, action in enumerate(actions.tolist()):
            if live[lane]:
                try:
                    raw[lane], value, terminated[lane], truncated[lane], infos[lane] = self.envs[lane].step(
                        action + self.first_action
                    )
                except Exception as error:
                    raise failed(self.name, "step", error) from error
                reward[lane] = float(value)
        if self.told:
            self._listen(infos, "step")
        return self.sight.frames(raw), reward, terminated, truncated

    def render(self, lane: int) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of a lane made with `render_mode="rgb_array"`."""
        try:
            return np.asarray(self.envs[lane].render(), np.uint8)
        except Exception as error:
            raise failed(self.name, "render", error) from error

    def close(self) -> None:
        """Free what the environments hold."""
        for env in self.envs:
            env.close()

    def _listen(self, infos: dict[int, dict[str, Any]], where: str) -> None:
        """Take masks and lives from what the environments tell beside their observations."""
        legal, lives = self.legal.copy(), None if self.lives is None else self.lives.copy()
        try:
            for lane, info in infos.items():
                if legal.shape[1] > 1:
                    legal[lane] = np.asarray(info["action_mask"], bool)
                if lives is not None:
                    lives[lane] = info["lives"]
        except Exception as error:
            raise failed(self.name, where, error) from error
        self.legal, self.lives = legal, lives


def failed(name: str, where: str, error: Exception) -> UserError:
    """A fault of an environment in one line."""
    return UserError(f"{name} failed in {where}(): {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")


def _make(name: str, render_mode: str | None, sticky: float | None) -> gym.Env[Any, Any]:
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures are drawn in memory, a window is never opened
    wanted: dict[str, Any] = {"render_mode": render_mode} if render_mode else {}  # not all know the word
    if sticky is not None:
        wanted["sticky"] = sticky
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
