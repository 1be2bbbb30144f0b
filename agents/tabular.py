"""Exact solutions of small worlds by the Bellman equation, and Q-learning, which finds them by trial and error.

Sutton and Barto 2018, chapters 4 and 6. S states, A actions; in an agent of several seeds, R seeds and N lanes.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rlgen.agents import settings
from rlgen.agents.base import Agent, RecurrentState, greedy_action
from rlgen.envs import Step, VectorEnv
from rlgen.envs.mdp import MDP, mdp, numbering

from rlgen.core.algorithm import Rows, StepMetrics
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup

STEPS = 100  # environment steps between looks at the clock, the log and the signals

Floats = NDArray[np.float64]


def backup(process: MDP, value: Floats, gamma: float = 1.0) -> Floats:
    """Q(s, a) = r(s, a) + γ Σ_s' P(s'|s, a) V(s'), (S,) -> (S, A)"""
    q: Floats = process.reward + gamma * (process.transition @ value)
    return q


def evaluate(process: MDP, policy: NDArray[Any], gamma: float) -> Floats:
    """V of a policy, (S,): the solution of V = r + γ P V.

    The policy is an action per state, (S,), or a probability of each, (S, A). γ = 1 will do where every episode ends.
    """
    states, actions = process.reward.shape
    chance = np.eye(actions)[policy] if policy.ndim == 1 else policy  # (S, A)
    p, r = np.einsum("sa,sat->st", chance, process.transition), (chance * process.reward).sum(1)
    return np.linalg.solve(np.eye(states) - gamma * p, r)


def value_iteration(process: MDP, gamma: float, error: float = 1e-10) -> Floats:
    """Q* (S, A), off by no more than `error`: V ← max_a Q(·, a) until it stands still. Bellman 1957; needs γ < 1."""
    value, change = np.zeros(len(process.start)), np.inf
    while gamma * change > error * (1 - gamma):
        last, value = value, backup(process, value, gamma).max(1)
        change = np.abs(value - last).max()
    return backup(process, value, gamma)


def policy_iteration(process: MDP, gamma: float) -> Floats:
    """Q* (S, A): evaluate a policy, act greedily on its values, until nothing is better. Howard 1960; needs γ < 1."""
    policy = np.zeros(len(process.start), np.int64)
    while True:
        q = backup(process, evaluate(process, policy, gamma), gamma)
        better = q.max(1) > np.take_along_axis(q, policy[:, None], 1)[:, 0] + 1e-12 * np.abs(q).max()
        if not better.any():
            return q
        policy = np.where(better, q.argmax(1), policy)


def best_return(process: MDP, steps: int) -> float:
    """The highest mean return, undiscounted, that any policy can have in an episode of at most so many steps.

    Also those that mind how much time is left: one that does not may be unable to reach it.
    """
    value = np.zeros(len(process.start))
    for _ in range(steps):
        value = backup(process, value).max(1)
    return float(process.start @ value)


def optimum(env: VectorEnv) -> float | None:
    """`best_return` of the world in these lanes within their limit; None where its table is not known."""
    process = mdp(env.name) if numbering(env.environments.preprocessing.space) else None
    return None if process is None else best_return(process, env.max_episode_steps)


class QLearning(Agent):
    """A table of Q(s, a), learned from each step as it comes. Watkins 1989, PhD thesis."""

    Config = settings.QLearning
    config: settings.QLearning
    state = ("env", "q", "visits", "rng", "returns", "time")

    def __init__(self, task: str, config: settings.QLearning, setup: Setup) -> None:
        super().__init__(task, config, setup)
        numbers = numbering(self.env.environments.preprocessing.space)
        if numbers is None:
            raise UserError(f"{task} does not observe discrete numbers, as a table needs them: try dqn")
        states, self.weights = numbers
        self.q = np.full((config.seeds, states, self.env.num_actions), config.initial_q)  # (R, S, A)
        self.visits = np.zeros(self.q.shape, np.int64)

    def step(self) -> StepMetrics:
        """Some environment steps of every lane, each learned from at once."""
        ended: Rows = []  # episodes
        errors, env, before = [], self.env, self.time
        while self.time < before + STEPS:
            obs = env.obs
            action, _ = self.act(obs, env.action_mask, None, env.is_first)
            step = env.step(action)
            errors.append(self.learn(obs, action, step))
            self.time += self.config.num_envs
            ended += self.finished_episodes(step)
        error = torch.from_numpy(self.split_seeds(np.abs(errors).mean(0)).mean(1))  # (R,)
        return {**self.episode_metrics(ended), "error": error, "epsilon": self.epsilon}

    def learn(self, obs: NDArray[Any], action: NDArray[np.int64], step: Step) -> Floats:
        """Q(s, a) ← Q(s, a) + α_n δ with δ = r + γ max_a' Q(s', a') - Q(s, a), the maximum 0 after the end: δ (R * N,).

        α_n = lr / n^ω at the n-th visit to s and a. The lanes of a seed are learned from one after the other.
        """
        rows, successors = self.rows(obs), self.rows(step.next_obs)  # (R * N,)
        table, discount, errors = self.q.reshape(-1, self.env.num_actions), self.config.gamma * ~step.terminated, []
        q, visits, entries = self.q.reshape(-1), self.visits.reshape(-1), rows * self.env.num_actions + action
        for index in range(self.config.num_envs):
            these = slice(index, None, self.config.num_envs)  # this lane of every seed, (R,)
            entry = entries[these]
            ahead = np.where(step.next_action_mask[these], table[successors[these]], -np.inf).max(-1)
            error = step.reward[these] + discount[these] * ahead - q[entry]
            visits[entry] += 1
            q[entry] += self.config.lr * visits[entry] ** -self.config.lr_decay * error
            errors.append(error)
        return np.stack(errors, 1).reshape(-1)

    def rows(self, obs: NDArray[Any]) -> NDArray[np.int64]:
        """Where the table (R * S, A) has what is observed, (R * n, *observation) -> (R * n,)."""
        seeds, states, _ = self.q.shape
        state = self.split_seeds((obs @ self.weights).astype(np.int64))
        return (state + states * np.arange(seeds)[:, None]).reshape(-1)

    def greedy(
        self,
        obs: NDArray[Any],
        action_mask: NDArray[np.bool_],
        recurrent_state: RecurrentState,
        is_first: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], RecurrentState]:
        """argmax_a Q(s, a) over legal actions, (R * n, *observation) -> (R * n,)"""
        return greedy_action(self.q.reshape(-1, self.env.num_actions)[self.rows(obs)], action_mask), None

    def parameter_count(self) -> int:
        """Entries of the table, those of all seeds together."""
        return self.q.size
