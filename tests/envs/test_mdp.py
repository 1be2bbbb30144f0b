import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces import flatten

import rlgen.envs.vector_env
from rlgen.envs.mdp import mdp, numbering


def test_a_table_becomes_arrays():
    """FrozenLake: a move goes forward or to one of two sides, a third each; a hole or the goal terminates."""
    lake = mdp("FrozenLake")
    assert lake.transition.shape == (16, 4, 16)
    assert lake.reward.shape == (16, 4)
    assert lake.max_episode_steps == 100
    np.testing.assert_array_equal(lake.start, np.eye(16)[0])
    left = np.zeros(16)
    left[0], left[4] = 2 / 3, 1 / 3
    np.testing.assert_allclose(lake.transition[0, 0], left)
    down = np.zeros(16)  # from state 14: the goal to the right, ice above
    down[13], down[14] = 1 / 3, 1 / 3
    np.testing.assert_allclose(lake.transition[14, 1], down)
    assert lake.reward[14, 1] == pytest.approx(1 / 3)
    assert lake.reward.sum() == pytest.approx(1)
    for end in (5, 7, 11, 12, 15):
        assert not lake.transition[end].any()


@pytest.mark.parametrize("name", ["FrozenLake8x8", "Taxi", "CliffWalking", "GridWorld"])
def test_the_missing_probability_is_that_of_termination(name):
    process, table = mdp(name), gym.make(rlgen.envs.resolve(name)).unwrapped.P
    ends = [[sum(p for p, *_, terminated in table[s][a] if terminated) for a in table[s]] for s in range(len(table))]
    np.testing.assert_allclose(1 - process.transition.sum(-1), ends, atol=1e-12)
    assert process.start.sum() == pytest.approx(1)


def test_without_a_time_limit_it_is_that_of_vector_env():
    assert mdp("CliffWalking").max_episode_steps == rlgen.envs.vector_env.LIMIT


@pytest.mark.parametrize("name", ["CartPole", "Blackjack", "Catch", "Acrobot"])
def test_an_environment_without_a_table_has_no_process(name):
    assert mdp(name) is None


class Doubled(gym.RewardWrapper):
    def reward(self, reward):
        return 2 * reward


def test_the_table_of_an_environment_with_wrappers_is_not_used():
    lake = gym.spec("FrozenLake-v1")
    wrapper = gym.envs.registration.WrapperSpec("Doubled", f"{__name__}:Doubled", {})
    gym.register("TestDoubled-v0", lake.entry_point, max_episode_steps=100, additional_wrappers=(wrapper,))
    gym.register("TestPlainLake-v0", lake.entry_point, max_episode_steps=100)
    assert mdp("TestDoubled") is None
    assert mdp("TestPlainLake") is not None


def test_a_table_that_is_too_large_is_not_converted(monkeypatch):
    monkeypatch.setattr("rlgen.envs.mdp.LARGEST", 16 * 4 * 16 - 1)
    assert mdp("FrozenLake") is None


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(4), spaces.Discrete(3, start=2), spaces.MultiDiscrete([2, 3, 2]),
        spaces.Tuple([spaces.Discrete(3), spaces.MultiDiscrete([2, 2]), spaces.Discrete(2)]),
    ],
)  # fmt: skip
def test_every_observation_has_its_own_number(space):
    count, weights = numbering(space)
    space.seed(0)
    vectors = np.unique([flatten(space, space.sample()) for _ in range(400)], axis=0)
    assert len(vectors) == count
    assert sorted((vectors @ weights).tolist()) == list(range(count))


@pytest.mark.parametrize(
    "space",
    [spaces.Box(0, 1, (3,)), spaces.MultiBinary(3), spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (1,))])],
)
def test_observations_that_are_not_discrete_have_no_number(space):
    assert numbering(space) is None
