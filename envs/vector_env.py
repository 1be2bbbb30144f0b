"""N environments stepped together, restarted at the end of each episode, and saved exactly without pickle.

Episode e of environment i always begins from the seed derived from (seed, i, e), and an environment is
deterministic given its seed and actions. So the state is (episode number, actions since its start): loading it
repeats the actions and compares the observation reached with the saved one.
"""

import logging
from functools import cache
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rlgen.core.errors import EnvironmentFault, UserError
from rlgen.core.failures import keep
from rlgen.core.state import State
from rlgen.envs.factory import watched
from rlgen.envs.faults import fault
from rlgen.envs.names import resolve
from rlgen.envs.watchdog import StepTimeout, watchdog

ENDLESS = 100_000  # steps: a longer time limit of an environment counts as none in an evaluation
LIMIT = 10_000  # steps per episode of an environment without a time limit: a greedy policy may go in circles


class Step(NamedTuple):
    """The result of one step of N environments."""

    reward: NDArray[np.float32]  # (N,) for learning: with `clip_reward` the sign of the reward
    terminated: NDArray[np.bool_]  # (N,) the successor has no value: the episode, or with `life_loss` a life, ended
    done: NDArray[np.bool_]  # (N,) terminated, or truncated by a time limit: the end of an n-step return
    episode_end: NDArray[np.bool_]  # (N,) the episode ended: `done` without lost lives
    next_obs: NDArray[Any]  # (N, *observation) the successor; at the end of an episode its last observation
    next_action_mask: NDArray[np.bool_]  # (N, A) allowed actions there, or (N, 1) True without action masks
    episode_return: NDArray[np.float64]  # (N,) sum of the environment's rewards from the start of the episode


class VectorEnv:
    """N copies of an environment with discrete actions.

    Arguments:
    `name`: short name or gymnasium id.
    `num_envs`: number N of copies.
    `seed`: of all episodes; or several, each of the episodes of its share of the copies, as without the others.
    `restart`: whether an environment begins its next episode at once when one ends; otherwise it stays in its
        terminal state, with reward 0 and the same observation.
    `render_mode`: "rgb_array" for pictures from `render`.
    `frame_stack`: number of frames per observation, joined along the first axis, oldest first; the first
        frame of an episode is repeated until there are enough.
    `repeat_action_probability`: of the previous action instead of the current one, in Atari and MinAtar;
        None for the environment's own.
    `max_episode_steps`: steps after which an episode is truncated; None for the environment's own limit.
    `clip_reward`: whether `Step.reward` is the sign of the reward. Episode returns are not affected.
    `life_loss`: whether a lost life terminates the return that is learned. Episodes are not affected.
    `step_timeout`: seconds after which a step or reset that has not returned is interrupted; None for no limit.
    `workers`: processes that step the copies; 0 for this one.

    Attributes between two steps: `obs` (N, *observation), values of `dtype` and `shape`, divided by `scale` at the
    input of a network; `action_mask` (N, A), or (N, 1) True without action masks; `is_first` (N,), whether `obs` is
    the first of its episode; `episode_return` (N,) so far; `episode_end` (N,), environments in a terminal state.

    Raises UserError for an environment that is unknown, cannot be made, has actions that are not discrete, or lacks
    what an option needs; EnvironmentFault, with the episode, for one that fails.
    """

    def __init__(
        self,
        name: str,
        num_envs: int,
        seed: int | tuple[int, ...],
        *,
        restart: bool = True,
        render_mode: str | None = None,
        frame_stack: int = 1,
        repeat_action_probability: float | None = None,
        max_episode_steps: int | None = None,
        clip_reward: bool = False,
        life_loss: bool = False,
        step_timeout: float | None = None,
        workers: int = 0,
    ) -> None:
        self.name, self.seed, self.restart = resolve(name), seed, restart
        self.seeds = (seed,) if isinstance(seed, int) else seed
        self.frame_stack, self.clip_reward, self.life_loss = frame_stack, clip_reward, life_loss
        self.repeat_action_probability = repeat_action_probability
        self.step_timeout = None if step_timeout == np.inf else step_timeout
        options = render_mode, repeat_action_probability, self.step_timeout, workers
        self.environments = watched(self.name, num_envs, *options)
        self.num_actions, self.first_action = self.environments.num_actions, self.environments.first_action
        self.fps, self.preprocessing = self.environments.fps, self.environments.preprocessing
        self.dtype, self.scale = self.preprocessing.dtype, self.preprocessing.scale
        self.shape = (frame_stack * self.preprocessing.shape[0], *self.preprocessing.shape[1:])
        limit = max_episode_steps or self.environments.max_episode_steps
        if not restart and not max_episode_steps and limit is not None and limit > ENDLESS:
            limit = None  # an evaluation ends
        self.max_episode_steps, self.unlimited = limit or LIMIT, limit is None
        self.obs, self.episode_return = np.zeros((num_envs, *self.shape), self.dtype), np.zeros(num_envs)
        self.episode = np.full(num_envs, -1, np.int64)  # number of the episode, from 0
        self.episode_end, self.all_running = np.zeros(num_envs, bool), np.ones(num_envs, bool)
        self.cut = np.zeros(num_envs, bool)  # episodes that LIMIT truncated
        self.restarted: NDArray[np.bool_] = self.episode_end  # (N,) not restored by the last `load_state_dict`
        self.action_history: list[NDArray[np.int64]] = []  # actions (N,) of all steps since the oldest running episode
        self.time = 0  # steps of every environment
        self.episode_start = np.zeros(num_envs, np.int64)  # `time` at the start of each running episode
        self.last_length = np.zeros(num_envs, np.int64)  # steps of the episodes that ended in the latest step
        self._begin(np.ones(num_envs, bool))
        self.is_first = np.ones(num_envs, bool)
        if life_loss and self.environments.lives is None:
            raise UserError(f"{self.name} has no lives: leave out --life-loss")

    def step(self, actions: NDArray[np.int64]) -> Step:
        """One step of every environment; actions (N,) from 0 to `num_actions` - 1."""
        running, lives = self.all_running if self.restart else ~self.episode_end, self.environments.lives
        try:
            frames, reward, terminated, truncated = self.environments.step(actions, running)
        except (EnvironmentFault, StepTimeout) as error:
            raise self.located(error, "step", actions) from error.__cause__
        self.action_history.append(actions.copy())
        self.time += 1
        episode_end = terminated | truncated
        if self.time >= self.due:
            episode_end |= self._too_long(running & ~episode_end)
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
            terminated = terminated | (running & (self.environments.lives < lives))
            done = episode_end | terminated
        learned = np.sign(reward) if self.clip_reward else reward
        self.obs, self.action_mask, self.is_first = next_obs, action_mask, episode_end
        if np.count_nonzero(episode_end):
            self.last_length = self.length
            if self.restart:
                self.obs = next_obs.copy()
                self._begin(episode_end)
            else:
                self.episode_end, self.is_first = episode_end, np.zeros(len(episode_end), bool)
        return Step(learned.astype(np.float32), terminated, done, episode_end, next_obs, action_mask, episode_return)

    @property
    def length(self) -> NDArray[np.int64]:
        """(N,) steps of each environment's episode so far."""
        return self.time - self.episode_start

    def preprocess_observation(self, observation: NDArray[Any] | int) -> tuple[NDArray[Any], bool]:
        """One observation or n of them, raw or preprocessed, as (n, *observation); and whether it was a single one."""
        return self.preprocessing.preprocess(observation, self.frame_stack)

    def describe(self) -> dict[str, str]:
        """The environment's id, its observation and action spaces, and the time limit, in words."""
        start = f", the first one {self.first_action}" if self.first_action else ""
        masks = ", with action masks" if self.action_mask.shape[1] > 1 else ""
        return {
            "environment": self.name,
            "observations": self.preprocessing.describe(self.frame_stack),
            "actions": f"Discrete({self.num_actions}){start}{masks}",
            "episode limit": f"{self.max_episode_steps:,} steps",
        }

    def render(self, index: int = 0) -> NDArray[np.uint8]:
        """The picture (H, W, 3) of one environment made with `render_mode="rgb_array"`.

        With `restart=False` that of the terminal state after the last step of an episode.
        """
        return self.environments.render(index)

    def close(self) -> None:
        """Release what the environments hold, windows for example."""
        self.environments.close()

    def state_dict(self) -> State:
        """The episode number of each environment, its actions so far, and the observation reached."""
        action_history = np.array(self.action_history, np.int32).reshape(-1, len(self.obs))  # (steps, N)
        return {
            "episode": torch.from_numpy(self.episode.copy()),
            "action_history": [
                torch.from_numpy(action_history[len(action_history) - length :, index].copy())
                for index, length in enumerate(self.length.tolist())
            ],
            "obs": torch.from_numpy(self.obs.copy()),
        }

    def load_state_dict(self, saved: State) -> None:
        """Repeat the saved actions. Where another observation is reached, log it and begin the next episode.

        All environments are stepped together; those with fewer actions start later, so that all arrive at once.
        """
        action_history = [actions.numpy().astype(np.int64) for actions in saved["action_history"]]
        length = np.array([len(actions) for actions in action_history])
        longest = int(length.max())
        script = np.zeros((longest, len(action_history)), np.int64)
        for index, actions in enumerate(action_history):
            script[longest - len(actions) :, index] = actions
        self.episode = saved["episode"].numpy() - 1
        restart, self.restart = self.restart, False
        self.episode_end = np.ones(len(action_history), bool)  # none has started
        for left in range(longest, -1, -1):
            if (begin := length == left).any():
                self.episode_end = self.episode_end & ~begin
                self._begin(begin)
            if left:
                self.step(script[longest - left])
        self.restart, expected = restart, saved["obs"].numpy()
        same = [np.array_equal(own, other, equal_nan=True) for own, other in zip(self.obs, expected, strict=True)]
        self.restarted = self.episode_end | ~np.array(same, bool)
        self.episode_end, self.is_first = np.zeros(len(action_history), bool), length == 0
        if count := np.count_nonzero(self.restarted):
            logging.getLogger("rlgen").warning(
                f"{self.name} is not deterministic given its seed and actions: {count} of {len(length)} episodes in"
                " progress start again, and the run will differ from one without interruption"
            )
            self._begin(self.restarted)
            self.is_first |= self.restarted

    def located(
        self, error: EnvironmentFault | StepTimeout, method: str, actions: NDArray[np.int64] | None = None
    ) -> EnvironmentFault:
        """The fault with the seed and actions of its episode, those of a step that failed included."""
        found = error if isinstance(error, EnvironmentFault) else fault(self.name, method, error)
        index, seed, taken = found.index, self.episode_seed(found.index), []
        if actions is not None:
            begin = len(self.action_history) - int(self.length[index])
            taken = [int(each[index]) for each in [*self.action_history[begin:], actions]]
        copy = f" in copy {index + 1} of {len(self.obs)}" if len(self.obs) > 1 else ""
        place = f"step {len(taken):,}" if taken else "the start"
        found.args = (f"{found}, at {place} of the episode with seed {seed}{copy}",)
        options = {"repeat_action_probability": self.repeat_action_probability}
        where = {"environment": self.name, "options": options, "step_timeout": self.step_timeout, "seed": seed}
        found.episode = {**where, "actions": taken, "step": len(taken), "method": method}
        return found

    def episode_seed(self, index: int) -> int:
        """The seed of the running episode of an environment."""
        member, own = divmod(index, len(self.obs) // len(self.seeds))
        return int(np.random.SeedSequence([self.seeds[member], own, int(self.episode[index])]).generate_state(1)[0])

    def _too_long(self, running: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(N,) environments whose episode has reached the limit; the first time at LIMIT is logged."""
        too_long = self.length >= self.max_episode_steps
        if self.unlimited and (too_long & running).any():
            _warn_once(self.name, self.max_episode_steps)
            self.cut |= too_long & running
        return too_long

    def _begin(self, which: NDArray[np.bool_]) -> None:
        """Begin the next episode in these environments (N,)."""
        (indices,) = which.nonzero()
        self.episode[indices] += 1
        seeds = [self.episode_seed(index) for index in indices.tolist()]
        try:
            frames = self.environments.reset(indices, seeds)
        except (EnvironmentFault, StepTimeout) as error:
            raise self.located(error, "reset") from error.__cause__
        self.obs[indices] = frames if self.frame_stack == 1 else np.concatenate([frames] * self.frame_stack, 1)
        self.episode_return = np.where(which, 0.0, self.episode_return)
        self.episode_start[indices] = self.time
        oldest = min(self.episode_start.tolist())
        self.due = oldest + self.max_episode_steps  # the earliest time at which an episode reaches the limit
        del self.action_history[: len(self.action_history) - (self.time - oldest)]
        self.action_mask = self.environments.action_mask
        if self.action_mask.shape[1] > 1:
            self.action_mask = _check(self.name, self.action_mask, self.episode_end)


def _check(name: str, action_mask: NDArray[np.bool_], ended: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Action masks (N, A) with at least one action in each row; rows without any are allowed where `ended` (N,)."""
    empty: NDArray[np.bool_] = action_mask.sum(1, keepdims=True) == 0
    if (empty[:, 0] & ~ended).any():
        raise UserError(f"{name} returned an action_mask that allows no action")
    return np.logical_or(action_mask, empty)


def _keep_stuck(call: FrameType, message: str) -> str:
    """Keep the episode of a call of an environment that neither returns nor can be interrupted; what is told of it."""
    env = call.f_back.f_locals.get("self") if call.f_back is not None else None
    if not isinstance(env, VectorEnv):
        return message
    fault = EnvironmentFault(message, call.f_code.co_name, int(call.f_locals.get("index", 0)))
    keep(env.located(fault, fault.method, call.f_locals.get("actions")))
    return str(fault)


watchdog.last_words = _keep_stuck


@cache
def _warn_once(name: str, max_episode_steps: int) -> None:
    logging.getLogger("rlgen").warning(
        f"{name} has no time limit: an episode was truncated after {max_episode_steps:,} steps,"
        " --max-episode-steps sets another limit"
    )
