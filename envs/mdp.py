"""Markov decision processes: what may happen in a small world, as arrays. Sutton and Barto 2018, chapter 3."""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete, Tuple
from numpy.typing import NDArray
from rlgen.envs.names import resolve, specification
from rlgen.envs.vector_env import LIMIT

LARGEST = 10**8  # numbers in `transition`: a larger one is none of the small worlds this is for

Outcome = tuple[float, int, float, bool]  # probability, next state, reward, terminated


class MDP(NamedTuple):
    """S states and A actions. What terminates leads nowhere: its probability is missing, so that V = r + γ P V holds.

    In states from which nothing leads anywhere, and no reward comes, V is 0.
    """

    transition: NDArray[np.float64]  # (S, A, S) probability of the next state, and that the episode goes on there
    reward: NDArray[np.float64]  # (S, A) expected
    start: NDArray[np.float64]  # (S,) probability that an episode starts here
    max_episode_steps: int  # steps after which an episode is cut off


def mdp(name: str) -> MDP | None:
    """The process behind an environment with a table `P` like those of gymnasium's toy text; None for any other."""
    name = resolve(name)
    spec = specification(name)
    env: Any = gym.make(spec, disable_env_checker=True)
    table, start = (getattr(env.unwrapped, attribute, None) for attribute in ("P", "initial_state_distrib"))
    env.close()
    if table is None or start is None or spec.additional_wrappers:  # wrappers may change what the table says
        return None
    states, actions = len(table), len(table[0])
    if states * actions * states > LARGEST:
        return None
    start = np.asarray(start, np.float64)
    transition, reward = np.zeros((states, actions, states)), np.zeros((states, actions))
    for state in range(states):
        for action in range(actions):
            outcomes: list[Outcome] = table[state][action]
            for probability, successor, value, terminated in outcomes:
                reward[state, action] += probability * value
                transition[state, action, successor] += probability * (not terminated)
    return MDP(transition, reward, start / start.sum(), spec.max_episode_steps or LIMIT)


def numbering(space: gym.Space[Any]) -> tuple[int, NDArray[np.float64]] | None:
    """How many observations there are, and the weights w that number them: x · w for a flattened x; None for others.

    For spaces of one or several discrete numbers, which the lanes show one-hot.
    """
    parts = space.spaces if isinstance(space, Tuple) else [space]
    sizes: list[int] = []
    for part in parts:
        if isinstance(part, Discrete):
            sizes.append(int(part.n))
        elif isinstance(part, MultiDiscrete):
            sizes += part.nvec.ravel().tolist()
        else:
            return None
    strides = [int(np.prod(sizes[place + 1 :])) for place in range(len(sizes))]
    weights = [stride * np.arange(size) for size, stride in zip(sizes, strides, strict=True)]
    return int(np.prod(sizes)), np.concatenate(weights).astype(np.float64)
