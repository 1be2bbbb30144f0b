"""Markov decision processes: transition tables of small environments as arrays. Sutton and Barto 2018, chapter 3."""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete, Tuple
from numpy.typing import NDArray

from rlgen.envs.names import resolve, specification
from rlgen.envs.vector_env import LIMIT

LARGEST = 10**8  # numbers in `transition`, 800 MB: larger tables are not converted

Outcome = tuple[float, int, float, bool]  # probability, next state, reward, terminated
Table = dict[int, dict[int, list[Outcome]]]


class MDP(NamedTuple):
    """S states and A actions. V = r + γ P V holds, for P has no probability of transitions that terminate.

    The value of states without outgoing transitions and rewards is 0.
    """

    transition: NDArray[np.float64]  # (S, A, S) probability of the next state without termination
    reward: NDArray[np.float64]  # (S, A) expected
    start: NDArray[np.float64]  # (S,) probability of the first state of an episode
    max_episode_steps: int  # steps after which an episode is truncated


def mdp(name: str) -> MDP | None:
    """The process of an environment with a table `P` as in gymnasium's toy text; None for any other.

    Also None for an environment with wrappers, which may contradict the table, and for one with a larger table.
    """
    found = outcomes(name)
    if found is None:
        return None
    table, start, limit = found
    states, actions = len(table), len(table[0])
    if states * actions * states > LARGEST:
        return None
    start = np.asarray(start, np.float64)
    transition, reward = np.zeros((states, actions, states)), np.zeros((states, actions))
    for state in range(states):
        for action in range(actions):
            for probability, successor, value, terminated in table[state][action]:
                reward[state, action] += probability * value
                transition[state, action, successor] += probability * (not terminated)
    return MDP(transition, reward, start / start.sum(), limit)


def outcomes(name: str) -> tuple[Table, Any, int] | None:
    """The table `P`, probabilities of first states, and the time limit of an environment as in gymnasium's toy text.

    P[state][action] lists what may happen. None for an environment without one, and for one with wrappers, which may
    contradict it.
    """
    name = resolve(name)
    spec = specification(name)
    env: Any = gym.make(spec, disable_env_checker=True)
    table, start = (getattr(env.unwrapped, attribute, None) for attribute in ("P", "initial_state_distrib"))
    env.close()
    if table is None or start is None or spec.additional_wrappers:
        return None
    return table, start, spec.max_episode_steps or LIMIT


def sizes(space: gym.Space[Any]) -> list[int] | None:
    """The number of values of each discrete number of an observation, in the order in which they are flattened.

    For spaces of one or several discrete numbers, which `Preprocessing` flattens to one-hot vectors; None for others.
    """
    found: list[int] = []
    for part in space.spaces if isinstance(space, Tuple) else [space]:
        if isinstance(part, Discrete):
            found.append(int(part.n))
        elif isinstance(part, MultiDiscrete):
            found += part.nvec.ravel().tolist()
        else:
            return None
    return found


def numbering(space: gym.Space[Any]) -> tuple[int, NDArray[np.float64]] | None:
    """The number of observations, and weights w such that x · w is the number of the flattened observation x.

    None for spaces without `sizes`.
    """
    counts = sizes(space)
    if counts is None:
        return None
    strides = [int(np.prod(counts[position + 1 :])) for position in range(len(counts))]
    weights = [stride * np.arange(size) for size, stride in zip(counts, strides, strict=True)]
    return int(np.prod(counts)), np.concatenate(weights).astype(np.float64)
