"""Environments side by side, restarted when they end, and saved exactly without pickle.

Episode number e of lane l always starts from the seed made of (seed, l, e), and an
environment's future follows from its seed and the actions since. So these are all
there is to save: restoring plays the actions again and compares where they lead.
"""

import logging
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rlgen.envs.atari import Atari
from rlgen.envs.cartpole import NAMES, VectorCartPole
from rlgen.envs.environments import Environments, GymEnvironments
from rlgen.envs.names import resolve

from rlgen.core.errors import UserError
from rlgen.core.state import State

LIMIT = 10_000  # steps, for environments without a limit: a greedy agent may go in circles for ever
MANY = 3  # lanes from which CartPole's physics pays in numpy


class Step(NamedTuple):
    """What one step of L lanes brings. `next_obs` is the true successor, also at an episode's end."""

    reward: NDArray[np.float32]  # (L,) what is learned from: clipped to its sign where asked
    terminated: NDArray[np.bool_]  # (L,) nothing follows: the episode ended, or a life where asked
    done: NDArray[np.bool_]  # (L,) terminated, or cut off by a time limit: no return reaches across
    episode_end: NDArray[np.bool_]  # (L,) the episode itself ended: done, but for lives lost in its midst
    next_obs: NDArray[Any]  # (L, *observation)
    next_action_mask: NDArray[np.bool_]  # (L, A), or (L, 1) True where all actions always are
    episode_return: NDArray[
        np.float64
    ]  # (L,) undiscounted, unclipped return of the episode so far; where over, its return


class VectorEnv:
    """L copies of an environment; `obs` (L, *observation) is always where each lane stands now.

    `legal` (L, A) has the actions allowed there, (L, 1) True in worlds without such masks, and
    `start` (L,) is True where an episode begins. An observation is of `dtype` and `shape`: the last
    `stack` frames joined along their first axis, oldest first, and before there are so many, the
    first one repeated. Pixels stand for their value divided by `scale`.

    With `restart=False` a lane plays one episode and then stays where it ended, its reward 0.
    `limit` cuts episodes off after so many steps; None takes the environment's own limit. `sticky`
    is the probability that the last action is repeated, in games that know it. `clip_reward` and
    `life_loss` (a lost life terminates) are for learning: scores and episodes take no notice.
    Raises UserError for an environment that is unknown, cannot be made, or has no discrete actions.
    """

    def __init__(
        self,
        name: str,
        num_envs: int,
        seed: int,
        *,
        restart: bool = True,
        render_mode: str | None = None,
        frame_stack: int = 1,
        repeat_action_probability: float | None = None,
        max_episode_steps: int | None = None,
        clip_reward: bool = False,
        life_loss: bool = False,
    ) -> None:
        self.name, self.seed, self.restart = resolve(name), seed, restart
        self.frame_stack, self.clip_reward, self.life_loss = frame_stack, clip_reward, life_loss
        self.environments = _environments(self.name, num_envs, render_mode, repeat_action_probability)
        self.num_actions, self.first_action, self.fps = (
            self.environments.num_actions,
            self.environments.first_action,
            self.environments.fps,
        )
        preprocessing = self.environments.preprocessing
        self.dtype, self.scale = preprocessing.dtype, preprocessing.scale
        self.shape = (frame_stack * preprocessing.shape[0], *preprocessing.shape[1:])
        self.max_episode_steps = max_episode_steps or self.environments.max_episode_steps or _no_limit(self.name, LIMIT)
        self.obs = np.zeros((num_envs, *self.shape), self.dtype)
        self.episode = np.full(num_envs, -1, np.int64)
        self.episode_return = np.zeros(num_envs)
        self.episode_end = np.zeros(num_envs, bool)  # lanes that stay where they ended
        self.restarted: NDArray[np.bool_] = (
            self.episode_end
        )  # that `load_state_dict` could not bring back to where they stood
        self.action_history: list[
            NDArray[np.int64]
        ] = []  # the actions (L,) of every step since the oldest running episode
        self.time = 0  # steps of these lanes
        self.episode_start = np.zeros(num_envs, np.int64)  # when each lane's episode began
        self.last_length = np.zeros(num_envs, np.int64)  # steps of the episodes that ended in the latest step
        self._begin(np.ones(num_envs, bool))
        self.is_first = np.ones(num_envs, bool)

    def step(self, actions: NDArray[np.int64]) -> Step:
        """One step of every lane by its action, shape (L,) with values from 0 to `actions` - 1."""
        live, lives = ~self.episode_end, self.environments.lives
        frames, reward, terminated, truncated = self.environments.step(actions, live)
        self.action_history.append(actions.copy())
        self.time += 1
        episode_end = terminated | truncated
        if self.time >= self.due:
            episode_end |= self.length >= self.max_episode_steps
        action_mask = self.environments.action_mask
        if action_mask.shape[1] > 1:
            action_mask = _check(self.name, action_mask, terminated | self.episode_end)
        next_obs = frames if self.frame_stack == 1 else np.concatenate([self.obs[:, len(frames[0]) :], frames], 1)
        if not self.restart and self.episode_end.any():
            next_obs[self.episode_end] = self.obs[self.episode_end]
            reward[self.episode_end], terminated[self.episode_end], episode_end[self.episode_end] = 0, False, True
        self.episode_return = episode_return = self.episode_return + reward
        done = episode_end
        if self.life_loss and lives is not None and self.environments.lives is not None:
            terminated = terminated | (live & (self.environments.lives < lives))
            done = episode_end | terminated
        learned = np.sign(reward) if self.clip_reward else reward
        self.obs, self.action_mask, self.is_first = next_obs, action_mask, episode_end
        if np.count_nonzero(episode_end):
            self.last_length = self.length
            if self.restart:
                self.obs = next_obs.copy()
                self._begin(episode_end)
            else:
                self.episode_end = episode_end
        return Step(learned.astype(np.float32), terminated, done, episode_end, next_obs, action_mask, episode_return)

    @property
    def length(self) -> NDArray[np.int64]:
        """(L,) steps of each lane's episode so far."""
        return self.time - self.episode_start

    def preprocess_observation(self, observation: NDArray[Any] | int) -> tuple[NDArray[Any], bool]:
        """One observation or several, bare or as the agent sees them, as (n, *observation); and whether it was one."""
        return self.environments.preprocessing.preprocess(observation, self.frame_stack)

    def render(self, index: int = 0) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of a lane made with `render_mode="rgb_array"`."""
        return self.environments.render(index)

    def close(self) -> None:
        """Free what the environments hold, windows for example."""
        self.environments.close()

    def state_dict(self) -> State:
        """The episode each lane is in, the actions that led to where it stands, and that place itself."""
        action_history = np.array(self.action_history, np.int32).reshape(-1, len(self.obs))  # (steps, L)
        return {
            "episode": torch.from_numpy(self.episode.copy()),
            "action_history": [
                torch.from_numpy(action_history[len(action_history) - length :, index].copy())
                for index, length in enumerate(self.length.tolist())
            ],
            "obs": torch.from_numpy(self.obs.copy()),
        }

    def load_state_dict(self, saved: State) -> None:
        """Play the saved actions again. Where they lead elsewhere, say so and start that lane's next episode.

        The lanes do this together, those with less to play beginning later, so that all arrive at once.
        """
        action_history = [actions.numpy().astype(np.int64) for actions in saved["action_history"]]
        length = np.array([len(actions) for actions in action_history])
        longest = int(length.max())
        script = np.zeros((longest, len(action_history)), np.int64)
        for index, actions in enumerate(action_history):
            script[longest - len(actions) :, index] = actions
        self.episode = saved["episode"].numpy() - 1
        restart, self.restart = self.restart, False
        self.episode_end = np.ones(len(action_history), bool)  # not yet begun
        for left in range(longest, -1, -1):
            if (begin := length == left).any():
                self.episode_end = self.episode_end & ~begin
                self._begin(begin)
            if left:
                self.step(script[longest - left])
        self.restart, there = restart, saved["obs"].numpy()
        same = [np.array_equal(here, then, equal_nan=True) for here, then in zip(self.obs, there, strict=True)]
        self.restarted = self.episode_end | ~np.array(same, bool)
        self.episode_end, self.is_first = np.zeros(len(action_history), bool), length == 0
        for _ in np.flatnonzero(self.restarted):
            logging.getLogger("rlgen").warning(
                f"{self.name} does not repeat itself from the same seed and actions: its episode is started again,"
                " and the run will differ from one that never stopped"
            )
        if self.restarted.any():
            self._begin(self.restarted)
            self.is_first |= self.restarted

    def _begin(self, which: NDArray[np.bool_]) -> None:
        """Begin the next episode in these lanes (L,)."""
        (indices,) = which.nonzero()
        self.episode[indices] += 1
        seeds = [
            int(np.random.SeedSequence([self.seed, index, episode]).generate_state(1)[0])
            for index, episode in zip(indices.tolist(), self.episode[indices].tolist(), strict=True)
        ]
        frames = self.environments.reset(indices, seeds)
        self.obs[indices] = frames if self.frame_stack == 1 else np.concatenate([frames] * self.frame_stack, 1)
        self.episode_return = np.where(which, 0.0, self.episode_return)
        self.episode_start[indices] = self.time
        oldest = min(self.episode_start.tolist())
        self.due = oldest + self.max_episode_steps  # before this time no episode is too long
        del self.action_history[: len(self.action_history) - (self.time - oldest)]
        self.action_mask = self.environments.action_mask
        if self.action_mask.shape[1] > 1:
            self.action_mask = _check(self.name, self.action_mask, self.episode_end)


def _environments(
    name: str, num_envs: int, render_mode: str | None, repeat_action_probability: float | None
) -> Environments:
    if name.split(":")[-1].startswith("ALE/"):
        return Atari(name, num_envs, render_mode=render_mode, repeat_action_probability=repeat_action_probability)
    if repeat_action_probability and not name.startswith("MinAtar/"):
        raise UserError(f"{name} knows no sticky actions: leave out --repeat-action-probability")
    if name in NAMES and num_envs >= MANY and not render_mode:
        return VectorCartPole(name, num_envs)
    return GymEnvironments(
        name,
        num_envs,
        render_mode=render_mode,
        repeat_action_probability=repeat_action_probability if name.startswith("MinAtar/") else None,
    )


def _check(name: str, action_mask: NDArray[np.bool_], ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Masks (L, A) with an action everywhere, for where nothing follows none need be legal."""
    empty: NDArray[np.bool_] = action_mask.sum(1, keepdims=True) == 0
    if (empty[:, 0] & ~ended).any():
        raise UserError(f"{name} gives an action_mask without any legal action")
    return np.logical_or(action_mask, empty)


@cache
def _no_limit(name: str, max_episode_steps: int) -> int:
    logging.getLogger("rlgen").warning(
        f"{name} has no time limit: its episodes are cut off after {max_episode_steps:,} steps,"
        " --max-episode-steps sets another"
    )
    return max_episode_steps
