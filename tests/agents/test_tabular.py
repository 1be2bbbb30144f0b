from itertools import product

import gymnasium as gym
import numpy as np
import pytest

import rlgen
from rlgen.agents.actor import ActorInput
from rlgen.agents.dynamic_programming import optimum, value_iteration
from rlgen.agents.tabular import QLearning
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.envs import Step
from rlgen.envs.mdp import MDP, mdp
from tests.envs import toy_environments


def chain():
    """The chain of the toy environments as a process."""
    transition, reward = np.zeros((5, 2, 5)), np.zeros((5, 2))
    for place, action in product(range(5), range(2)):
        successor, reward[place, action], over = toy_environments.chain(place, action)
        transition[place, action, successor] = not over
    return MDP(transition, reward, np.full(5, 0.2), 20)


def build(task, seed=0, **settings):
    return QLearning(task, QLearning.Config(**settings), Setup(seed=seed, threads=1))


def train(agent, steps):
    while agent.time < steps:
        agent.step()
    return agent


# ---- Q-learning


def test_one_update_by_hand():
    agent = build("TestChain", gamma=0.5, lr=0.5, lr_decay=1.0)
    agent.q[0] = np.arange(10).reshape(5, 2)
    obs, action = np.eye(5, dtype=np.float32)[[2]], np.array([1])
    for visit, terminated, target in ((1, False, 1 + 0.5 * 7), (2, True, 1)):
        before = agent.q.copy()
        flag = np.array([terminated])
        step = Step(np.ones(1), flag, flag, flag, np.eye(5, dtype=np.float32)[[3]], np.ones((1, 1), bool), np.zeros(1))
        error = agent.learn(obs, action, step)
        assert error.tolist() == [target - before[0, 2, 1]]
        before[0, 2, 1] += 0.5 / visit * error[0]
        np.testing.assert_array_equal(agent.q, before)
        assert agent.visits.sum() == agent.visits[0, 2, 1] == visit


def test_the_maximum_is_over_allowed_actions():
    agent = build("TestChain", gamma=0.5)
    agent.q[0, 3] = 2.0, 8.0
    nothing, action_mask = np.zeros(1, bool), np.array([[True, False]])
    step = Step(np.ones(1), nothing, nothing, nothing, np.eye(5, dtype=np.float32)[[3]], action_mask, np.zeros(1))
    agent.learn(np.eye(5, dtype=np.float32)[[2]], np.array([1]), step)
    assert agent.q[0, 2, 1] == 1 + 0.5 * 2
    at = np.eye(5, dtype=np.float32)[[3]]
    assert agent.greedy(ActorInput(at, action_mask, None, nothing))[0].tolist() == [0]
    assert agent.greedy(ActorInput(at, np.ones((1, 1), bool), None, nothing))[0].tolist() == [1]


def test_environments_of_a_seed_are_processed_in_turn():
    """With lr / n an entry is the mean of its targets: both environments count, though in the same state."""
    agent = build("TestChain", seeds=2, num_envs=2, lr_decay=1.0)
    nothing, at = np.zeros(4, bool), np.eye(5, dtype=np.float32)[[2, 2, 2, 2]]
    reward = np.array([1.0, 5.0, 2.0, 4.0])
    agent.learn(at, np.ones(4, int), Step(reward, ~nothing, ~nothing, ~nothing, at, np.ones((4, 1), bool), reward))
    assert agent.q[:, 2, 1].tolist() == [3, 3]
    assert agent.visits[:, 2, 1].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("world", "worth"), [("TestTruncated", 10.0), ("TestTerminated", 4.0951), ("TestBoth", 4.0951)]
)
def test_a_time_limit_is_bootstrapped_and_a_termination_is_not(world, worth):
    """T1: truncated after 5 steps of reward 1, a state is worth 1 / (1 - γ) = 10; terminated, 4.0951."""
    agent = train(build(world, gamma=0.9, lr_decay=0.0, num_envs=2), 2_500)
    np.testing.assert_allclose(agent.q[0, 0], worth, atol=1e-3)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_table_converges_on_the_chain(seeds):
    agent = train(build("TestChain", gamma=0.9, seeds=seeds, lr_decay=0.0, epsilon_end=0.5), 4_000)
    np.testing.assert_allclose(agent.q, np.broadcast_to(value_iteration(chain(), 0.9), agent.q.shape), atol=0.01)


@pytest.mark.slow
def test_the_table_converges_on_a_small_grid():
    process = mdp("TestSmallGrid")
    agent = train(build("TestSmallGrid", gamma=0.9, seeds=2, num_envs=8, lr_decay=0.7, epsilon_end=1.0), 20_000)
    q, live = value_iteration(process, 0.9), process.transition.any((1, 2))
    assert (agent.visits[:, live] > 100).all()
    assert not agent.visits[:, ~live].any()
    np.testing.assert_allclose(agent.q[:, live], np.stack([q[live]] * 2), atol=0.05)
    assert not np.array_equal(agent.q[0], agent.q[1])


def test_only_allowed_actions_are_taken():
    agent = train(build("Taxi", num_envs=4, initial_q=5.0, epsilon_end=0.3, epsilon_steps=1_000), 3_000)
    taxi = gym.make("Taxi-v4").unwrapped if "Taxi-v4" in gym.registry else gym.make("Taxi-v3").unwrapped
    states, actions = np.nonzero(agent.visits[0])
    assert len(states) > 500
    assert all(taxi.action_mask(int(state))[action] for state, action in zip(states, actions, strict=True))


def test_predictions_from_discrete_observations():
    agent = build("FrozenLake", seeds=2)
    agent.q[0, 3], agent.q[1, 3], agent.q[0, 8] = [0, 0, 9, 1], [0, 9, 0, 0], [0, 0, 0, 1]
    assert agent.predict(3)[0] == 2
    assert agent.predict(np.array([3, 8, 0]))[0].tolist() == [2, 3, 0]
    assert agent.predict(3, action_mask=np.array([True, True, False, True]))[0] == 3
    actions = agent.predict(np.full(400, 3), deterministic=False)[0]
    assert 0.85 < (actions == 2).mean() < 0.99


def test_tuples_of_discrete_numbers_are_one_state():
    agent = train(build("Blackjack"), 2_000)
    assert agent.q.shape == (1, 32 * 11 * 2, 2)
    assert (agent.visits > 0).sum() > 100
    assert optimum(agent.env) is None


@pytest.mark.parametrize("world", ["CartPole", "Catch"])
def test_continuous_observations_are_refused(world):
    with pytest.raises(UserError, match=f"^{world}: qlearning needs discrete observations; [^\n]*`rlgen dqn {world}`$"):
        build(world)


# ---- the report


@pytest.mark.slow
def test_a_report_has_the_optimum_where_it_is_known(tmp_path):
    run = rlgen.train("qlearning", "CliffWalking", runs=tmp_path)
    report = rlgen.load(run).report(5, seed=0)
    assert report.values["mean"] == report.values["score"] == report.values["optimum"] == -13
    assert report.details == {"returns": [-13.0] * 5}
    assert report.lines[0].startswith("score   mean return -13.0 over 5 fresh greedy episodes (95 % interval")
    assert (
        report.lines[1] == "optimum -13.0: the highest expected return within the time limit; the interval contains it"
    )
