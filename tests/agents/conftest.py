import pytest
import torch

from rlgen.agents.dqn import DQN
from rlgen.agents.drqn import DRQN
from rlgen.core.ring import Ring
from rlgen.core.settings import Setup
from tests.agents import tasks  # noqa: F401  # registers its environments
from tests.envs import toy_environments  # noqa: F401  # likewise

SMALL = {
    "width": 8,
    "depth": 1,
    "batch": 8,
    "buffer_size": 200,
    "learning_starts": 20,
    "train_freq": 4,
    "target_update_interval": 20,
}
RECURRENT = {**SMALL, "length": 5, "burn_in": 3}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)  # random numbers of the tests themselves


@pytest.fixture
def build():
    def build(task="CartPole", seed=0, recurrent=False, **settings):
        kind, small = (DRQN, RECURRENT) if recurrent else (DQN, SMALL)
        return kind(task, kind.Config(**{**small, **settings}), Setup(seed=seed, threads=1))

    return build


@pytest.fixture
def snapshot():
    """Every number and random stream of an agent, by path."""

    def leaves(state, path=""):
        if isinstance(state, torch.Tensor):
            yield path, state.clone()
        elif isinstance(state, dict):
            for name, value in state.items():
                yield from leaves(value, f"{path}/{name}")
        elif isinstance(state, list | tuple):
            for number, value in enumerate(state):
                yield from leaves(value, f"{path}/{number}")
        elif isinstance(state, Ring):
            rows = {"first": state.first, "end": state.end, **state.rows(state.first, state.end)}
            yield from leaves(rows, path)
        else:
            yield path, state

    return lambda agent: dict(leaves(agent.state_dict()))


@pytest.fixture
def same():
    """Whether two snapshots agree to the bit."""

    def same(one, other):
        def equal(a, b):
            return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b

        return len(one) > 20 and one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)

    return same
