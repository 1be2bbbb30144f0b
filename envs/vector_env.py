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
from rlgen.envs.cartpole import NAMES, CartPoles
from rlgen.envs.environments import Singles, Worlds
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
    over: NDArray[np.bool_]  # (L,) the episode itself ended: done, but for lives lost in its midst
    next_obs: NDArray[Any]  # (L, *observation)
    next_legal: NDArray[np.bool_]  # (L, A), or (L, 1) True where all actions always are
    score: NDArray[np.float64]  # (L,) undiscounted, unclipped return of the episode so far; where over, its return


class Lanes:
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
        lanes: int,
        seed: int,
        *,
        restart: bool = True,
        render_mode: str | None = None,
        stack: int = 1,
        sticky: float | None = None,
        limit: int | None = None,
        clip_reward: bool = False,
        life_loss: bool = False,
    ) -> None:
        self.name, self.seed, self.restart = resolve(name), seed, restart
        self.stack, self.clip_reward, self.life_loss = stack, clip_reward, life_loss
        self.worlds = _worlds(self.name, lanes, render_mode, sticky)
        self.actions, self.first_action, self.fps = self.worlds.actions, self.worlds.first_action, self.worlds.fps
        sight = self.worlds.sight
        self.dtype, self.scale = sight.dtype, sight.scale
        self.shape = (stack * sight.shape[0], *sight.shape[1:])
        self.limit = limit or self.worlds.limit or _no_limit(self.name, LIMIT)
        self.obs = np.zeros((lanes, *self.shape), self.dtype)
        self.episode = np.full(lanes, -1, np.int64)
        self.score = np.zeros(lanes)
        self.over = np.zeros(lanes, bool)  # lanes that stay where they ended
        self.lost: NDArray[np.bool_] = self.over  # that `load_state_dict` could not bring back to where they stood
        self.played: list[NDArray[np.int64]] = []  # the actions (L,) of every step since the oldest running episode
        self.time = 0  # steps of these lanes
        self.begun = np.zeros(lanes, np.int64)  # when each lane's episode began
        self._begin(np.ones(lanes, bool))
        self.start = np.ones(lanes, bool)

    def step(self, actions: NDArray[np.int64]) -> Step:
        """One step of every lane by its action, shape (L,) with values from 0 to `actions` - 1."""
        live, lives = ~self.over, self.worlds.lives
        frames, reward, terminated, truncated = self.worlds.step(actions, live)
        self.played.append(actions.copy())
        self.time += 1
        over = terminated | truncated
        if self.time >= self.due:
            over |= self.length >= self.limit
        legal = self.worlds.legal
        if legal.shape[1] > 1:
            legal = _check(self.name, legal, terminated | self.over)
        next_obs = frames if self.stack == 1 else np.concatenate([self.obs[:, len(frames[0]) :], frames], 1)
        if not self.restart and self.over.any():
            next_obs[self.over] = self.obs[self.over]
            reward[self.over], terminated[self.over], over[self.over] = 0, False, True
        self.score = score = self.score + reward
        done = over
        if self.life_loss and lives is not None and self.worlds.lives is not None:
            terminated = terminated | (live & (self.worlds.lives < lives))
            done = over | terminated
        learned = np.sign(reward) if self.clip_reward else reward
        self.obs, self.legal, self.start = next_obs, legal, over
        if np.count_nonzero(over):
            if self.restart:
                self.obs = next_obs.copy()
                self._begin(over)
            else:
                self.over = over
        return Step(learned.astype(np.float32), terminated, done, over, next_obs, legal, score)

    @property
    def length(self) -> NDArray[np.int64]:
        """(L,) steps of each lane's episode so far."""
        return self.time - self.begun

    def vectors(self, observation: NDArray[Any] | int) -> tuple[NDArray[Any], bool]:
        """One observation or several, bare or as the agent sees them, as (n, *observation); and whether it was one."""
        return self.worlds.sight.read(observation, self.stack)

    def render(self, lane: int = 0) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of a lane made with `render_mode="rgb_array"`."""
        return self.worlds.render(lane)

    def close(self) -> None:
        """Free what the environments hold, windows for example."""
        self.worlds.close()

    def state_dict(self) -> State:
        """The episode each lane is in, the actions that led to where it stands, and that place itself."""
        played = np.array(self.played, np.int32).reshape(-1, len(self.obs))  # (steps, L)
        return {
            "episode": torch.from_numpy(self.episode.copy()),
            "played": [
                torch.from_numpy(played[len(played) - length :, lane].copy())
                for lane, length in enumerate(self.length.tolist())
            ],
            "obs": torch.from_numpy(self.obs.copy()),
        }

    def load_state_dict(self, saved: State) -> None:
        """Play the saved actions again. Where they lead elsewhere, say so and start that lane's next episode.

        The lanes do this together, those with less to play beginning later, so that all arrive at once.
        """
        played = [actions.numpy().astype(np.int64) for actions in saved["played"]]
        length = np.array([len(actions) for actions in played])
        longest = int(length.max())
        script = np.zeros((longest, len(played)), np.int64)
        for lane, actions in enumerate(played):
            script[longest - len(actions) :, lane] = actions
        self.episode = saved["episode"].numpy() - 1
        restart, self.restart = self.restart, False
        self.over = np.ones(len(played), bool)  # not yet begun
        for left in range(longest, -1, -1):
            if (begin := length == left).any():
                self.over = self.over & ~begin
                self._begin(begin)
            if left:
                self.step(script[longest - left])
        self.restart, there = restart, saved["obs"].numpy()
        same = [np.array_equal(here, then, equal_nan=True) for here, then in zip(self.obs, there, strict=True)]
        self.lost = self.over | ~np.array(same, bool)
        self.over, self.start = np.zeros(len(played), bool), length == 0
        for _ in np.flatnonzero(self.lost):
            logging.getLogger("rlgen").warning(
                f"{self.name} does not repeat itself from the same seed and actions: its episode is started again,"
                " and the run will differ from one that never stopped"
            )
        if self.lost.any():
            self._begin(self.lost)
            self.start |= self.lost

    def _begin(self, which: NDArray[np.bool_]) -> None:
        """Begin the next episode in these lanes (L,)."""
        (lanes,) = which.nonzero()
        self.episode[lanes] += 1
        seeds = [
            int(np.random.SeedSequence([self.seed, lane, episode]).generate_state(1)[0])
            for lane, episode in zip(lanes.tolist(), self.episode[lanes].tolist(), strict=True)
        ]
        frames = self.worlds.reset(lanes, seeds)
        self.obs[lanes] = frames if self.stack == 1 else np.concatenate([frames] * self.stack, 1)
        self.score = np.where(which, 0.0, self.score)
        self.begun[lanes] = self.time
        oldest = min(self.begun.tolist())
        self.due = oldest + self.limit  # before this time no episode is too long
        del self.played[: len(self.played) - (self.time - oldest)]
        self.legal = self.worlds.legal
        if self.legal.shape[1] > 1:
            self.legal = _check(self.name, self.legal, self.over)


def _worlds(name: str, lanes: int, render_mode: str | None, sticky: float | None) -> Worlds:
    if name.split(":")[-1].startswith("ALE/"):
        return Atari(name, lanes, render_mode=render_mode, sticky=sticky)
    if sticky and not name.startswith("MinAtar/"):
        raise UserError(f"{name} knows no sticky actions: leave out --sticky")
    if name in NAMES and lanes >= MANY and not render_mode:
        return CartPoles(name, lanes)
    return Singles(name, lanes, render_mode=render_mode, sticky=sticky if name.startswith("MinAtar/") else None)


def _check(name: str, legal: NDArray[np.bool_], ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Masks (L, A) with an action everywhere, for where nothing follows none need be legal."""
    empty: NDArray[np.bool_] = legal.sum(1, keepdims=True) == 0
    if (empty[:, 0] & ~ended).any():
        raise UserError(f"{name} gives an action_mask without any legal action")
    return np.logical_or(legal, empty)


@cache
def _no_limit(name: str, limit: int) -> int:
    logging.getLogger("rlgen").warning(
        f"{name} has no time limit: its episodes are cut off after {limit:,} steps, --max-episode-steps sets another"
    )
    return limit
