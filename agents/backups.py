"""Bellman backups of a single state in numbers, and the exact optimum, where the transitions are known.

Shapes: S states, A actions. Sutton and Barto 2018, chapters 3 and 4.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlgen.agents.base import Agent
from rlgen.agents.dynamic_programming import policy_iteration
from rlgen.envs.mdp import mdp
from rlgen.envs.transitions import Outcome, allowed, states, transitions

Floats = NDArray[np.float64]


class Optimum(NamedTuple):
    """The exact optimum of an environment with a table of transitions."""

    q: Floats  # (S, A) Q*
    reachable: NDArray[np.bool_]  # (S,) whether an episode can be in this state and go on


@dataclass(frozen=True)
class Backup:
    """r + γ Σ_s' P(s'|s, a) V(s') of an action, with V(s') = max_a' Q(s', a') of the agent, 0 after a terminal step."""

    outcomes: list[Outcome]
    values: list[float]  # V(s') of each outcome
    total: float


@lru_cache(maxsize=8)
def optimum(name: str, gamma: float) -> Optimum | None:
    """Q* of an environment with a discount γ < 1, and its states; None where its transitions are unknown or γ = 1."""
    process = mdp(name) if gamma < 1 else None
    if process is None:
        return None
    leads = process.transition.sum(1) > 0  # (S, S)
    reachable = process.start > 0
    while (more := reachable | leads[reachable].any(0)).sum() > reachable.sum():
        reachable = more
    return Optimum(policy_iteration(process, gamma), reachable)


def backups(agent: Agent, observation: NDArray[Any]) -> list[Backup]:
    """The Bellman backup of each action in the state of a preprocessed observation, with the rewards of the training.

    Raises UserError where the transitions are unknown.
    """
    gamma, found = agent.config.gamma, []
    for possible in transitions(agent.env, observation):
        after = np.stack([outcome.observation for outcome in possible])
        value = agent.values(after, action_mask=allowed(agent.env, states(agent.env, after))).v
        v = [0.0 if outcome.terminated else float(x) for outcome, x in zip(possible, value, strict=True)]
        rewards = [np.sign(o.reward) if getattr(agent.config, "clip_reward", False) else o.reward for o in possible]
        parts = zip(possible, rewards, v, strict=True)
        found.append(Backup(possible, v, float(sum(o.probability * (r + gamma * x) for o, r, x in parts))))
    return found
