"""Tabular Q-learning. Watkins 1989, PhD thesis; Sutton and Barto 2018, chapter 6.

Shapes: R seeds, N environments each, S states, A actions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rlgen.agents import settings
from rlgen.agents.actor import ActorInput, RecurrentState
from rlgen.agents.base import Agent
from rlgen.agents.members import Member, as_metric, each
from rlgen.core.algorithm import Rows, StepMetrics
from rlgen.core.errors import Diverged, UserError
from rlgen.core.settings import Setup
from rlgen.envs import Step
from rlgen.envs.mdp import numbering

STEPS = 100  # environment steps of each seed per call of `step`


class QLearning(Agent):
    """A table Q(s, a), updated after every environment step."""

    Config = settings.QLearning
    config: settings.QLearning
    state = ("env", "q", "visits", "rng", "returns", "time")
    learned = ("q", "visits", "time")

    def __init__(self, task: str, config: settings.QLearning, setup: Setup, members: Sequence[Member] = ()) -> None:
        super().__init__(task, config, setup, members)
        config, number = self.config, self.members.number
        states = numbering(self.env.environments.preprocessing.space)
        if states is None:
            raise UserError(f"{task}: qlearning needs discrete observations; dqn learns from any: `rlgen dqn {task}`")
        count, self.weights = states
        initial = np.asarray(number("initial_q"))[..., None, None]
        self.q = np.empty((config.seeds, count, self.env.num_actions))  # (R, S, A)
        self.q[:] = initial
        self.lr, self.lr_decay = number("lr"), number("lr_decay")  # () or (R,)
        self.gamma = each(number("gamma"), config.seeds * config.num_envs)  # () or (R * N,)
        self.visits = np.zeros(self.q.shape, np.int64)

    def step(self) -> StepMetrics:
        """`STEPS` environment steps of each seed, with an update after each of them."""
        finished: Rows = []  # episodes
        taken: list[tuple[NDArray[Any], NDArray[np.int64], Step]] = []
        errors, env, before = [], self.env, self.time
        while self.time < before + STEPS:
            inputs = self.inputs()
            action, _ = self.act(inputs)
            step = env.step(action)
            errors.append(self.learn(inputs.obs, action, step))
            taken.append((inputs.obs, action, step))
            self.time += self.config.num_envs
            finished += self.finished_episodes(step)
        if not np.isfinite(errors).all():
            raise self._diverged(np.array(errors), taken)
        error = torch.from_numpy(self.split_seeds(np.abs(errors).mean(0)).mean(1))  # (R,)
        return {**self.episode_metrics(finished), "error": error, "epsilon": as_metric(self.epsilon)}

    def _diverged(
        self, errors: NDArray[np.float64], taken: list[tuple[NDArray[Any], NDArray[np.int64], Step]]
    ) -> Diverged:
        """The error about TD errors (T, R * N) of T transitions, the batch, of which one is not finite."""
        seeds = np.unique(np.nonzero(~np.isfinite(errors))[1] // self.config.num_envs).tolist()
        columns = [(obs, action, step.reward, step.terminated, step.next_obs) for obs, action, step in taken]
        names = "obs", "action", "reward", "terminated", "next_obs"
        batch = {name: np.stack(each) for name, each in zip(names, zip(*columns, strict=True), strict=True)}
        return Diverged(
            f"a TD error of seed {', '.join(map(str, seeds))} is not finite: try a smaller --lr",
            seeds=seeds,
            batch={**batch, "error": errors},
        )

    def learn(self, obs: NDArray[Any], action: NDArray[np.int64], step: Step) -> NDArray[np.float64]:
        """Q(s, a) ← Q(s, a) + α_n δ, δ = r + γ max_a' Q(s', a') - Q(s, a); returns δ, (R * N,).

        The maximum is 0 where the episode terminated. α_n = lr / n^ω at the n-th visit to (s, a). The environments of a
        seed are processed one after the other, so that two in the same state count as two visits.
        """
        rows, next_rows = self.rows(obs), self.rows(step.next_obs)  # (R * N,)
        table, discount, errors = self.q.reshape(-1, self.env.num_actions), self.gamma * ~step.terminated, []
        q, visits, entries = self.q.reshape(-1), self.visits.reshape(-1), rows * self.env.num_actions + action
        for index in range(self.config.num_envs):
            each = slice(index, None, self.config.num_envs)  # this environment of every seed, (R,)
            entry = entries[each]
            next_value = np.where(step.next_action_mask[each], table[next_rows[each]], -np.inf).max(-1)
            error = step.reward[each] + discount[each] * next_value - q[entry]
            visits[entry] += 1
            q[entry] += self.lr * visits[entry] ** -self.lr_decay * error
            errors.append(error)
        return np.stack(errors, 1).reshape(-1)

    def rows(self, obs: NDArray[Any]) -> NDArray[np.int64]:
        """Row of the table (R * S, A) for each one-hot observation, (R * n, *observation) -> (R * n,)"""
        seeds, states, _ = self.q.shape
        state = self.split_seeds((obs @ self.weights).astype(np.int64))
        rows: NDArray[np.int64] = (state + states * np.arange(seeds)[:, None]).reshape(-1)
        return rows

    def q_values(self, inputs: ActorInput) -> tuple[NDArray[Any], RecurrentState]:
        """Rows of the table, (R * n, A); there is no recurrent state."""
        return self.q.reshape(-1, self.env.num_actions)[self.rows(inputs.obs)], None

    def parameter_count(self) -> int:
        """Entries of the table, over all seeds."""
        return self.q.size
