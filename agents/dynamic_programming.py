"""Exact solutions of small Markov decision processes by dynamic programming. Sutton and Barto 2018, chapter 4.

Shapes: S states, A actions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgen.envs import VectorEnv
from rlgen.envs.mdp import MDP, mdp, numbering

Floats = NDArray[np.float64]


def backup(process: MDP, value: Floats, gamma: float = 1.0) -> Floats:
    """Q(s, a) = r(s, a) + γ Σ_s' P(s'|s, a) V(s'), (S,) -> (S, A)"""
    q: Floats = process.reward + gamma * (process.transition @ value)
    return q


def evaluate(process: MDP, policy: NDArray[Any], gamma: float) -> Floats:
    """V of a policy, (S,): the solution of V = r + γ P V.

    The policy is an action per state, (S,), or its probabilities, (S, A). γ = 1 is allowed where every episode ends.
    """
    states, actions = process.reward.shape
    chance = np.eye(actions)[policy] if policy.ndim == 1 else policy  # (S, A)
    p, r = np.einsum("sa,sat->st", chance, process.transition), (chance * process.reward).sum(1)
    return np.linalg.solve(np.eye(states) - gamma * p, r)


def value_iteration(process: MDP, gamma: float, error: float = 1e-10) -> Floats:
    """Q* (S, A) within `error`: V ← max_a Q(·, a), repeated until it converges. Bellman 1957; needs γ < 1."""
    value, change = np.zeros(len(process.start)), np.inf
    while gamma * change > error * (1 - gamma):
        last, value = value, backup(process, value, gamma).max(1)
        change = np.abs(value - last).max()
    return backup(process, value, gamma)


def policy_iteration(process: MDP, gamma: float) -> Floats:
    """Q* (S, A): policy evaluation and greedy improvement in turn, until nothing changes. Howard 1960; needs γ < 1."""
    policy = np.zeros(len(process.start), np.int64)
    while True:
        q = backup(process, evaluate(process, policy, gamma), gamma)
        better = q.max(1) > np.take_along_axis(q, policy[:, None], 1)[:, 0] + 1e-12 * np.abs(q).max()
        if not better.any():
            return q
        policy = np.where(better, q.argmax(1), policy)


def best_return(process: MDP, steps: int) -> float:
    """The highest mean undiscounted return of any policy in an episode of at most `steps` steps.

    By backward induction, so over policies that may depend on the time left; a stationary policy may not reach it.
    """
    value = np.zeros(len(process.start))
    for _ in range(steps):
        value = backup(process, value).max(1)
    return float(process.start @ value)


def optimum(env: VectorEnv) -> float | None:
    """`best_return` of an environment within its episode limit; None where its transition table is unknown."""
    process = mdp(env.name) if numbering(env.environments.preprocessing.space) else None
    return None if process is None else best_return(process, env.max_episode_steps)
