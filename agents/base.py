"""What agents have in common: lanes to play in, exploration, evaluation, and `predict`."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from rlgen.envs import Step, VectorEnv
from torch import Tensor

from rlgen.core.algorithm import Metrics, Rows
from rlgen.core.images import Grid
from rlgen.core.schedule import linear
from rlgen.core.seeds import derive, numpy_stream
from rlgen.core.settings import Setup
from rlgen.core.state import Stateful

RecurrentState = NDArray[np.float32] | None  # (L, numbers) what a recurrent agent remembers of each lane


class Agent(Stateful):
    """Plays greedily by values of actions, and explores with probability ε. Shapes: S seeds, N lanes, A actions."""

    score: ClassVar[str | None] = "eval_return"

    def __init__(self, task: str, config: Any, setup: Setup, **training: Any) -> None:
        self.task, self.config, self.seed, self.time = task, config, setup.seed, 0
        self.env = self.make_env(config.seeds * config.num_envs, derive(setup.seed, "environments"), **training)
        self.rng = numpy_stream(setup.seed, "exploration")
        self.predicting = numpy_stream(setup.seed, "prediction")  # no part of the training, nor of its state
        self.returns: list[list[float]] = [[] for _ in range(config.seeds)]  # of the last 100 training episodes each

    def make_env(self, num_envs: int, seed: int, **more: Any) -> VectorEnv:
        """Environments like those it was made for."""
        return VectorEnv(self.task, num_envs, seed, max_episode_steps=self.config.max_episode_steps, **more)

    def eval_mode(self) -> None:
        """Leave out whatever explores by other means than random actions: what comes is played in earnest."""

    def act(
        self,
        obs: NDArray[Any],
        action_mask: NDArray[np.bool_],
        recurrent_state: RecurrentState,
        is_first: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], RecurrentState]:
        """(S * N, *observation) -> (S * N,): greedy, but for each lane's own chance of a random legal action."""
        random = self.rng.random(len(obs)) < self.epsilon
        if random.all() and recurrent_state is None:
            return self.uniform(action_mask), None
        action, recurrent_state = self.greedy(obs, action_mask, recurrent_state, is_first)
        return np.where(random, self.uniform(action_mask), action) if random.any() else action, recurrent_state

    @property
    def epsilon(self) -> float:
        """The probability of a random action now."""
        return linear(self.config.epsilon, self.config.epsilon_end, self.config.epsilon_steps, self.time)

    def uniform(self, action_mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """A random legal action for each row."""
        if action_mask.shape[1] == 1:
            return self.rng.integers(self.env.num_actions, size=len(action_mask))
        return np.asarray((self.rng.random(action_mask.shape) * action_mask).argmax(-1))

    def greedy(
        self,
        obs: NDArray[Any],
        action_mask: NDArray[np.bool_],
        recurrent_state: RecurrentState,
        is_first: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], RecurrentState]:
        """argmax_a Q(s, a) over legal actions, (S * N, *observation) -> (S * N,), and the memory after it."""
        raise NotImplementedError

    def split_seeds(self, x: NDArray[Any]) -> NDArray[Any]:
        """(S * N, ...) as the lanes have it -> (S, N, ...)"""
        return x.reshape(self.config.seeds, -1, *x.shape[1:])

    def finished_episodes(self, step: Step) -> Rows:
        """The episodes that ended in this step, as they are logged in `episodes.jsonl`; lengths in steps."""
        if not step.episode_end.any():
            return []
        return [
            {
                "time": self.time,
                "seed": index // self.config.num_envs,
                "return": float(step.episode_return[index]),
                "length": int(self.env.last_length[index]),
            }
            for index in np.flatnonzero(step.episode_end).tolist()
        ]

    def episode_metrics(self, ended: Rows) -> dict[str, Tensor | float | Rows]:
        """Metrics of training episodes, where some ended and every seed has ended one; and these `episodes`."""
        seeds = [int(row["seed"]) for row in ended]
        for seed, row in zip(seeds, ended, strict=True):
            self.returns[seed] = [*self.returns[seed], row["return"]][-100:]
        if not ended or not all(self.returns):
            return {"episodes": ended} if ended else {}
        latest = [scores[-max(1, seeds.count(seed)) :] for seed, scores in enumerate(self.returns)]
        return {
            "episodes": ended,
            "return": torch.tensor([sum(scores) / len(scores) for scores in latest]),  # (S,)
            "return_100": sum(sum(scores) / len(scores) for scores in self.returns) / len(self.returns),
        }

    def evaluate(self) -> Metrics:
        """Mean return of greedy episodes per seed, always from the same starts, and its standard error."""
        returns = self.rollout(self.config.eval_episodes, derive(self.seed, "evaluation"))  # (S, episodes)
        metrics = {"eval_return": torch.from_numpy(returns.mean(1))}
        if returns.shape[1] > 1:
            metrics["eval_return_se"] = torch.from_numpy(returns.std(1, ddof=1) / returns.shape[1] ** 0.5)
        return metrics

    def draw(self) -> dict[str, Grid]:
        """No grids of images."""
        return {}

    def rollout(self, episodes: int, seed: int) -> NDArray[np.float64]:
        """Returns of greedy episodes in environments of their own, whole games and rewards, (S, episodes)."""
        self.eval_mode()
        env = self.make_env(self.config.seeds * episodes, seed, restart=False)
        recurrent_state = self.initial_state(len(env.obs))
        while not env.episode_end.all():
            action, recurrent_state = self.greedy(env.obs, env.action_mask, recurrent_state, env.is_first)
            env.step(action)
        env.close()
        return self.split_seeds(env.episode_return)

    def initial_state(self, num_envs: int) -> RecurrentState:
        """What is remembered before anything was seen: nothing, unless the agent is recurrent."""
        return None

    def predict(
        self,
        observation: NDArray[Any] | int,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        action_mask: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], tuple[NDArray[Any], ...] | None]:
        """The action for one observation, or the actions (n,) for n of them, and what a recurrent agent remembers.

        The convention of Stable-Baselines3, so its `evaluate_policy` takes this agent. Greedy among
        the actions that the mask `legal`, (A,) or (n, A), allows; with `deterministic=False` it
        explores with the final ε. Of several seeds the first one acts.
        """
        self.eval_mode()
        obs, single = self.env.preprocess_observation(observation)  # (n, *observation)
        n, seeds, actions = len(obs), self.config.seeds, self.env.num_actions
        allowed = np.ones((n, 1), bool) if action_mask is None else np.asarray(action_mask, bool).reshape(n, actions)
        recurrent_state = self.initial_state(n)
        if recurrent_state is not None and state is not None:
            recurrent_state = state[0]
        is_first = np.zeros(n, bool) if episode_start is None else np.asarray(episode_start, bool).reshape(n)
        each = [None if x is None else np.concatenate([x] * seeds) for x in (obs, allowed, recurrent_state, is_first)]
        action, recurrent_state = self.greedy(*each)  # type: ignore[arg-type]
        action = action[:n]
        if not deterministic:
            random = self.predicting.random(n) < self.config.epsilon_end
            drawn = (self.predicting.random((n, actions)) * allowed).argmax(-1)
            action = np.where(random, drawn, action)
        action = action + self.env.first_action
        return (action[0] if single else action), (state if recurrent_state is None else (recurrent_state[:n],))


def greedy_action(q: NDArray[np.float32], action_mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The legal action of the highest value in each row: (L, A), (L, A | 1) -> (L,)"""
    if action_mask.shape[1] > 1:
        q = np.where(action_mask, q, -np.inf)
    return np.asarray(q.argmax(-1))
