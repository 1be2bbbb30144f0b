"""What may follow each action in a state: from a table as in gymnasium's toy text, or by a step of an environment.

Shapes: n observations, A actions. Sutton and Barto 2018, chapter 3.
"""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgen.core.errors import UserError
from rlgen.envs.labels import base
from rlgen.envs.mdp import Outcome as Entry
from rlgen.envs.mdp import numbering, outcomes
from rlgen.envs.names import specification
from rlgen.envs.vector_env import VectorEnv

SETTABLE = ("CartPole", "MountainCar")  # their `state` is the observation


class Outcome(NamedTuple):
    """Something that may follow an action."""

    probability: float
    reward: float
    observation: NDArray[Any]  # preprocessed, of the next state
    terminated: bool


def states(env: VectorEnv, observations: NDArray[Any]) -> NDArray[np.int64] | None:
    """The number of the state of each observation (n, *shape), (n,); None where observations are not discrete."""
    found = numbering(env.preprocessing.space)
    if found is None or env.frame_stack > 1:
        return None
    numbers: NDArray[np.int64] = (observations @ found[1]).round().astype(np.int64)
    return numbers


def allowed(env: VectorEnv, numbers: NDArray[np.int64] | None) -> NDArray[np.bool_] | None:
    """The actions that the environment allows in the states of these numbers (n,), (n, A); None where all are."""
    inner: Any = getattr(getattr(env.environments, "envs", [None])[0], "unwrapped", None)
    mask = getattr(inner, "action_mask", None)
    if numbers is None or not callable(mask):
        return None
    return np.array([np.asarray(mask(int(number)), bool) for number in numbers])


def transitions(env: VectorEnv, observation: NDArray[Any]) -> list[list[Outcome]]:
    """What may follow each action in the state of a preprocessed observation.

    Raises UserError where that is unknown.
    """
    number = states(env, observation[None])
    found = outcomes(env.name) if number is not None else None
    if number is not None and found is not None:
        table, size = found[0][int(number[0])], len(found[0])
        return [_merged(table[action], np.eye(size, dtype=env.dtype)) for action in range(env.num_actions)]
    if base(env.name) in SETTABLE and env.frame_stack == 1:
        return [[_stepped(env.name, observation, action)] for action in range(env.num_actions)]
    raise UserError(
        f"a Bellman backup needs the transitions of {env.name}: they are known of environments with a table, such as"
        f" FrozenLake, Taxi and GridWorld, and of {' and '.join(SETTABLE)}"
    )


def _merged(listed: list[Entry], observations: NDArray[Any]) -> list[Outcome]:
    """Equal outcomes as one with the sum of their probabilities, the most probable first."""
    total: dict[tuple[int, float, bool], float] = {}
    for probability, successor, reward, terminated in listed:
        key = int(successor), float(reward), bool(terminated)
        total[key] = total.get(key, 0.0) + float(probability)
    ordered = sorted(total.items(), key=lambda item: -item[1])
    return [Outcome(p, reward, observations[place], end) for (place, reward, end), p in ordered if p]


def _stepped(name: str, observation: NDArray[Any], action: int) -> Outcome:
    """The outcome of one step of an environment that is set to the state of this observation."""
    env: Any = gym.make(specification(name), disable_env_checker=True).unwrapped
    env.reset(seed=0)
    env.state = np.asarray(observation, np.float64)
    after, reward, terminated, *_ = env.step(action)
    env.close()
    return Outcome(1.0, float(reward), np.asarray(after, np.float32), bool(terminated))
