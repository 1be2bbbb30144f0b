"""Small untrained agents for the actions of the page."""

from rlgen.agents.dqn import DQN
from rlgen.agents.drqn import DRQN
from rlgen.agents.tabular import QLearning
from rlgen.core.settings import Setup
from tests.agents import tasks  # noqa: F401  # registers its environments
from tests.envs import toy_environments  # noqa: F401  # likewise

SMALL = {"width": 8, "depth": 1, "batch": 8, "buffer_size": 200}


def dqn(task="CartPole", **settings):
    return DQN(task, DQN.Config(**{**SMALL, **settings}), Setup(seed=0, threads=1))


def drqn(task="TestCue", **settings):
    config = DRQN.Config(**{**SMALL, "length": 5, "burn_in": 3, **settings})
    return DRQN(task, config, Setup(seed=0, threads=1))


def table(task="FrozenLake", **settings):
    return QLearning(task, QLearning.Config(**settings), Setup(seed=0, threads=1))
