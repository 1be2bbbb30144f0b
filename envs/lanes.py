"""Gymnasium environments stepped side by side, restarted when they end, and saved exactly without pickle.

Episode number e of lane l always starts from the seed made of (seed, l, e), and an
environment's future follows from its seed and the actions since. So these are all
there is to save: restoring plays the actions again and compares where they lead.
"""

import logging
import os
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import flatten
from gymnasium.wrappers import FlattenObservation, TimeLimit
from numpy.typing import NDArray

from envs.names import resolve
from rlgen.core.errors import UserError
from rlgen.core.state import State

LIMIT = 10_000  # steps, for environments without a limit: a greedy agent may go in circles for ever


class Step(NamedTuple):
    """What one step of L lanes brings. `next_obs` is the true successor, also at an episode's end."""

    reward: NDArray[np.float32]  # (L,)
    terminated: NDArray[np.bool_]  # (L,) the episode ended and nothing follows
    done: NDArray[np.bool_]  # (L,) terminated, or cut off by a time limit
    next_obs: NDArray[np.float32]  # (L, *observation)
    score: NDArray[np.float64]  # (L,) undiscounted return of the episode so far; where done, its return


class Lanes:
    """L copies of an environment; `obs` (L, *observation) is always where each lane stands now.

    With `restart=False` a lane plays one episode and then stays where it ended, its reward 0.
    Raises UserError for an environment that is unknown, cannot be made, or has no discrete actions.
    """

    def __init__(
        self, name: str, lanes: int, seed: int, *, restart: bool = True, render_mode: str | None = None
    ) -> None:
        self.name, self.seed, self.restart = resolve(name), seed, restart
        self.envs = [_make(self.name, render_mode) for _ in range(lanes)]
        space = self.envs[0].action_space
        if not isinstance(space, gym.spaces.Discrete):
            raise UserError(f"{self.name} has the actions {space}: only discrete ones so far, like those of CartPole")
        flat = self.envs[0]
        self.space = (flat.env if isinstance(flat, FlattenObservation) else flat).observation_space
        self.actions, self.first_action = int(space.n), int(space.start)
        self.episode = np.full(lanes, -1, np.int64)
        self.played: list[list[int]] = [[] for _ in range(lanes)]  # actions since the episode's start
        self.score = np.zeros(lanes)
        self.over = np.zeros(lanes, bool)
        self.lost = np.zeros(lanes, bool)  # lanes that `load_state_dict` could not bring back to where they stood
        self.obs = np.stack([self._reset(lane) for lane in range(lanes)])
        self.shape: tuple[int, ...] = self.obs.shape[1:]

    def step(self, actions: NDArray[np.int64]) -> Step:
        """One step of every lane by its action, shape (L,) with values from 0 to `actions` - 1."""
        lanes = len(self.envs)
        next_obs = self.obs.copy()
        reward, terminated, done = np.zeros(lanes, np.float32), np.zeros(lanes, bool), np.zeros(lanes, bool)
        for lane, action in enumerate(actions.tolist()):
            if self.over[lane]:
                done[lane] = True
                continue
            try:
                next_obs[lane], value, terminated[lane], truncated, _ = self.envs[lane].step(action + self.first_action)
            except Exception as error:
                raise _failed(self.name, "step", error) from error
            reward[lane] = float(value)
            self.score[lane] += float(value)
            self.played[lane].append(action)
            done[lane] = terminated[lane] or truncated
        score = self.score.copy()
        self.obs = next_obs
        if done.any():
            self.obs = next_obs.copy()
            for lane in np.flatnonzero(done).tolist():
                if self.restart:
                    self.obs[lane] = self._reset(lane)
                self.over[lane] = not self.restart
        return Step(reward, terminated, done, next_obs, score)

    def vectors(self, observation: NDArray[Any] | int) -> tuple[NDArray[np.float32], bool]:
        """One observation or several, bare or as the agent sees them, as (n, *observation); and whether it was one."""
        x: Any = observation
        if not isinstance(self.space, gym.spaces.Box):
            if self.space.contains(x):
                x = flatten(self.space, x)
            elif isinstance(x, np.ndarray) and x.ndim and x.size and all(map(self.space.contains, x)):
                x = np.stack([np.asarray(flatten(self.space, one)) for one in x])
        try:
            x = np.asarray(x, np.float32)
        except (TypeError, ValueError):
            raise UserError(f"an observation of {self.name} is a {self.space}, not {observation!r}") from None
        single = x.ndim == len(self.shape)
        if x.shape[not single :] != self.shape:
            raise UserError(
                f"an observation of {self.name} is a {self.space} or has the shape {self.shape}, not {x.shape}"
            )
        return (x[None] if single else x), single

    def render(self, lane: int = 0) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of a lane made with `render_mode="rgb_array"`."""
        try:
            return np.asarray(self.envs[lane].render(), np.uint8)
        except Exception as error:
            raise _failed(self.name, "render", error) from error

    def close(self) -> None:
        """Free what the environments hold, windows for example."""
        for env in self.envs:
            env.close()

    def state_dict(self) -> State:
        """The episode each lane is in, the actions that led to where it stands, and that place itself."""
        return {
            "episode": torch.from_numpy(self.episode.copy()),
            "played": [torch.tensor(actions, dtype=torch.int32) for actions in self.played],
            "obs": torch.from_numpy(self.obs.copy()),
        }

    def load_state_dict(self, saved: State) -> None:
        """Play the saved actions again. Where they lead elsewhere, say so and start that lane's next episode."""
        for lane, actions in enumerate(saved["played"]):
            self.episode[lane] = int(saved["episode"][lane]) - 1
            self.obs[lane], ended = self._reset(lane), False
            for action in actions.tolist():
                self.obs[lane], reward, terminated, truncated, _ = self.envs[lane].step(action + self.first_action)
                self.score[lane] += float(reward)
                if ended := terminated or truncated:
                    break
            self.played[lane] = actions.tolist()
            if ended or not np.array_equal(self.obs[lane], saved["obs"][lane].numpy(), equal_nan=True):
                logging.getLogger("rlgen").warning(
                    f"{self.name} does not repeat itself from the same seed and actions: its episode is started again,"
                    " and the run will differ from one that never stopped"
                )
                self.obs[lane], self.lost[lane] = self._reset(lane), True

    def _reset(self, lane: int) -> NDArray[np.float32]:
        self.episode[lane] += 1
        self.played[lane], self.score[lane] = [], 0.0
        seed = np.random.SeedSequence([self.seed, lane, int(self.episode[lane])]).generate_state(1)[0]
        try:
            obs, _ = self.envs[lane].reset(seed=int(seed))
        except Exception as error:
            raise _failed(self.name, "reset", error) from error
        return np.asarray(obs, np.float32)


def _failed(name: str, where: str, error: Exception) -> UserError:
    return UserError(f"{name} failed in {where}(): {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")


def _make(identity: str, render_mode: str | None) -> gym.Env[Any, Any]:
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures are drawn in memory, a window is never opened
    try:
        wanted: dict[str, Any] = {"render_mode": render_mode} if render_mode else {}  # not all know the word
        env: gym.Env[Any, Any] = gym.make(identity, disable_env_checker=True, **wanted)
    except (gym.error.Error, ImportError) as error:
        raise UserError(f"{identity} cannot be made: {str(error).rstrip('.')}") from None
    except Exception as error:
        raise _failed(identity, "make", error) from error
    if env.spec is None or env.spec.max_episode_steps is None:
        env = TimeLimit(env, LIMIT)
    if isinstance(env.observation_space, gym.spaces.Box):
        return env
    if not env.observation_space.is_np_flattenable:
        raise UserError(f"{identity} has the observations {env.observation_space}: they cannot be made a vector")
    return FlattenObservation(env)  # a discrete observation becomes a one-hot vector
