"""What agents have in common: lanes to play in, exploration, evaluation, and `predict`."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from rlgen.envs import Lanes, Step
from torch import Tensor

from rlgen.core.algorithm import Metrics
from rlgen.core.schedule import linear
from rlgen.core.seeds import derive, numpy_stream
from rlgen.core.settings import Setup
from rlgen.core.state import Stateful

Memory = NDArray[np.float32] | None  # (L, numbers) what a recurrent agent remembers of each lane


class Agent(Stateful):
    """Plays greedily by values of actions, and explores with probability ε. Shapes: S seeds, N lanes, A actions."""

    score: ClassVar[str | None] = "eval_return"

    def __init__(self, task: str, config: Any, setup: Setup, **training: Any) -> None:
        self.task, self.config, self.seed, self.time = task, config, setup.seed, 0
        self.lanes = self.worlds(config.seeds * config.lanes, derive(setup.seed, "environments"), **training)
        self.rng = numpy_stream(setup.seed, "exploration")
        self.predicting = numpy_stream(setup.seed, "prediction")  # no part of the training, nor of its state
        self.returns: list[list[float]] = [[] for _ in range(config.seeds)]  # of the last 100 training episodes each

    def worlds(self, lanes: int, seed: int, **more: Any) -> Lanes:
        """Environments like those it was made for."""
        return Lanes(self.task, lanes, seed, limit=self.config.max_episode_steps, **more)

    def calm(self) -> None:
        """Leave out whatever explores by other means than random actions: what comes is played in earnest."""

    def act(
        self, obs: NDArray[Any], legal: NDArray[np.bool_], memory: Memory, start: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], Memory]:
        """(S * N, *observation) -> (S * N,): greedy, but for each lane's own chance of a random legal action."""
        random = self.rng.random(len(obs)) < self.epsilon
        if random.all() and memory is None:
            return self.uniform(legal), None
        action, memory = self.greedy(obs, legal, memory, start)
        return np.where(random, self.uniform(legal), action) if random.any() else action, memory

    @property
    def epsilon(self) -> float:
        """The probability of a random action now."""
        return linear(self.config.epsilon, self.config.epsilon_end, self.config.epsilon_steps, self.time)

    def uniform(self, legal: NDArray[np.bool_]) -> NDArray[np.int64]:
        """A random legal action for each row."""
        if legal.shape[1] == 1:
            return self.rng.integers(self.lanes.actions, size=len(legal))
        return np.asarray((self.rng.random(legal.shape) * legal).argmax(-1))

    def greedy(
        self, obs: NDArray[Any], legal: NDArray[np.bool_], memory: Memory, start: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], Memory]:
        """argmax_a Q(s, a) over legal actions, (S * N, *observation) -> (S * N,), and the memory after it."""
        raise NotImplementedError

    def fold(self, x: NDArray[Any]) -> NDArray[Any]:
        """(S * N, ...) as the lanes have it -> (S, N, ...)"""
        return x.reshape(self.config.seeds, -1, *x.shape[1:])

    def ended(self, step: Step) -> list[tuple[int, float]]:
        """(seed, return) of the episodes that ended in this step."""
        if not step.over.any():
            return []
        return [(lane // self.config.lanes, float(step.score[lane])) for lane in np.flatnonzero(step.over).tolist()]

    def tell(self, ended: list[tuple[int, float]]) -> dict[str, Tensor | float]:
        """Metrics of training episodes, where some ended and every seed has ended one."""
        for seed, score in ended:
            self.returns[seed] = [*self.returns[seed], score][-100:]
        if not ended or not all(self.returns):
            return {}
        latest = [scores[-max(1, sum(s == seed for s, _ in ended)) :] for seed, scores in enumerate(self.returns)]
        return {
            "return": torch.tensor([sum(scores) / len(scores) for scores in latest]),  # (S,)
            "return_100": sum(sum(scores) / len(scores) for scores in self.returns) / len(self.returns),
        }

    def evaluate(self) -> Metrics:
        """Mean return of greedy episodes per seed, always from the same starts."""
        returns = self.rollout(self.config.eval_episodes, derive(self.seed, "evaluation"))
        return {"eval_return": torch.from_numpy(returns.mean(1))}

    def rollout(self, episodes: int, seed: int) -> NDArray[np.float64]:
        """Returns of greedy episodes in environments of their own, whole games and rewards, (S, episodes)."""
        self.calm()
        lanes = self.worlds(self.config.seeds * episodes, seed, restart=False)
        memory = self.blank(len(lanes.obs))
        while not lanes.over.all():
            action, memory = self.greedy(lanes.obs, lanes.legal, memory, lanes.start)
            lanes.step(action)
        lanes.close()
        return self.fold(lanes.score)

    def blank(self, lanes: int) -> Memory:
        """What is remembered before anything was seen: nothing, unless the agent is recurrent."""
        return None

    def predict(
        self,
        observation: NDArray[Any] | int,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        legal: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], tuple[NDArray[Any], ...] | None]:
        """The action for one observation, or the actions (n,) for n of them, and what a recurrent agent remembers.

        The convention of Stable-Baselines3, so its `evaluate_policy` takes this agent. Greedy among
        the actions that the mask `legal`, (A,) or (n, A), allows; with `deterministic=False` it
        explores with the final ε. Of several seeds the first one acts.
        """
        self.calm()
        obs, single = self.lanes.vectors(observation)  # (n, *observation)
        n, seeds, actions = len(obs), self.config.seeds, self.lanes.actions
        allowed = np.ones((n, 1), bool) if legal is None else np.asarray(legal, bool).reshape(n, actions)
        memory = self.blank(n)
        if memory is not None and state is not None:
            memory = state[0]
        start = np.zeros(n, bool) if episode_start is None else np.asarray(episode_start, bool).reshape(n)
        each = [None if x is None else np.concatenate([x] * seeds) for x in (obs, allowed, memory, start)]
        action, memory = self.greedy(*each)  # type: ignore[arg-type]
        action = action[:n]
        if not deterministic:
            random = self.predicting.random(n) < self.config.epsilon_end
            drawn = (self.predicting.random((n, actions)) * allowed).argmax(-1)
            action = np.where(random, drawn, action)
        action = action + self.lanes.first_action
        return (action[0] if single else action), (state if memory is None else (memory[:n],))


def best(q: NDArray[np.float32], legal: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The legal action of the highest value in each row: (L, A), (L, A | 1) -> (L,)"""
    if legal.shape[1] > 1:
        q = np.where(legal, q, -np.inf)
    return np.asarray(q.argmax(-1))
