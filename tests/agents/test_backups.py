"""Bellman backups in numbers, against sums over the tables and against simulated steps."""

import gymnasium as gym
import numpy as np
import pytest

from rlgen.agents import backups
from rlgen.agents.dynamic_programming import value_iteration
from rlgen.agents.settings import QLearning as TableSettings
from rlgen.agents.tabular import QLearning
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.envs.mdp import mdp
from rlgen.envs.transitions import allowed


def table(task, **settings):
    agent = QLearning(task, TableSettings(**settings), Setup(seed=0, threads=1))
    agent.q[:] = np.random.default_rng(0).normal(size=agent.q.shape)
    return agent


@pytest.mark.parametrize("task", ["FrozenLake", "GridWorld", "CliffWalking"])
def test_a_backup_is_the_sum_over_the_table(task):
    agent = table(task, gamma=0.9)
    inner, v = gym.make(agent.env.name).unwrapped, agent.q[0].max(1)
    for state in (0, 3, 8):
        found = backups.backups(agent, np.eye(len(v), dtype=np.float32)[state])
        for action, each in enumerate(found):
            listed = inner.P[state][action]
            expected = sum(p * (r + 0.9 * (not end) * v[after]) for p, after, r, end in listed)
            assert each.total == pytest.approx(expected)
            assert sum(outcome.probability for outcome in each.outcomes) == pytest.approx(1)
            chances = [outcome.probability for outcome in each.outcomes]
            assert chances == sorted(chances, reverse=True)
            assert all(x == 0 for o, x in zip(each.outcomes, each.values, strict=True) if o.terminated)


def test_equal_outcomes_are_one():
    agent = table("FrozenLake")
    (outcomes, *_) = (each.outcomes for each in backups.backups(agent, np.eye(16, dtype=np.float32)[0]))
    assert [round(outcome.probability, 4) for outcome in outcomes] == [0.6667, 0.3333]  # stays, by two of three


def test_actions_that_are_not_allowed_do_not_count_in_the_next_state():
    agent = table("Taxi")
    agent.q[:, :, 4:] = 100  # pick up and drop off, forbidden in most states
    observation = np.eye(500, dtype=np.float32)[agent.env.environments.envs[0].unwrapped.encode(2, 2, 0, 1)]
    down = backups.backups(agent, observation)[0]
    (after,) = (int(outcome.observation.argmax()) for outcome in down.outcomes)
    assert down.values == [agent.q[0, after, :4][allowed(agent.env, np.array([after]))[0, :4]].max()]
    assert down.values[0] < 100


@pytest.mark.parametrize(
    ("task", "state"),
    [("CartPole", [0.1, -0.2, 0.05, 0.3]), ("CartPole", [2.39, 3, 0, 0]), ("MountainCar", [-0.5, 0.01])],
)
def test_a_backup_of_classic_control_is_one_step_of_its_dynamics(build, task, state):
    agent = build(task, gamma=0.9)
    inner = gym.make(agent.env.name).unwrapped
    for action, each in enumerate(backups.backups(agent, np.array(state, np.float32))):
        inner.reset(seed=1)
        inner.state = np.array(state, np.float32).astype(np.float64)
        after, reward, terminated, *_ = inner.step(action)
        (outcome,) = each.outcomes
        np.testing.assert_allclose(outcome.observation, after, rtol=1e-6)
        assert outcome.terminated == terminated
        v = 0 if terminated else agent.values(after).q.max()
        assert each.total == pytest.approx(reward + 0.9 * v, rel=1e-5)


def test_unknown_transitions_are_refused_with_what_is_known(build):
    agent = build("Acrobot")
    with pytest.raises(UserError, match=r"transitions of Acrobot-v1.*FrozenLake.*CartPole"):
        backups.backups(agent, agent.env.obs[0])


def test_clipped_rewards_are_those_of_the_training(build):
    agent = build("CliffWalking", clip_reward=True, gamma=0.9)
    down = backups.backups(agent, np.eye(48, dtype=np.float32)[25])[2]  # off the cliff
    assert [outcome.reward for outcome in down.outcomes] == [-100]
    assert down.total == pytest.approx(-1 + 0.9 * down.values[0])


def test_the_optimum_is_that_of_value_iteration_and_terminal_states_are_not_reachable():
    found = backups.optimum("FrozenLake-v1", 0.9)
    np.testing.assert_allclose(found.q, value_iteration(mdp("FrozenLake-v1"), 0.9), atol=1e-8)
    holes = [5, 7, 11, 12, 15]
    assert np.flatnonzero(~found.reachable).tolist() == holes
    assert backups.optimum("FrozenLake-v1", 1.0) is None
    assert backups.optimum("CartPole-v1", 0.9) is None
