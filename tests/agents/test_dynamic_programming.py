"""Exact solutions of small Markov decision processes."""

from itertools import product

import numpy as np
import pytest

from rlgen.agents.dynamic_programming import best_return, evaluate, optimum, policy_iteration, value_iteration
from rlgen.envs import VectorEnv
from rlgen.envs.mdp import MDP, mdp
from tests.envs import toy_environments


def chain():
    """The chain of the toy environments as a process."""
    transition, reward = np.zeros((5, 2, 5)), np.zeros((5, 2))
    for place, action in product(range(5), range(2)):
        successor, reward[place, action], over = toy_environments.chain(place, action)
        transition[place, action, successor] = not over
    return MDP(transition, reward, np.full(5, 0.2), 20)


def test_the_chain_by_hand():
    """Five places, γ = 0.9: going right from place p is worth 0.9^(4 - p), going left one or two steps' delay."""
    right = 0.9 ** np.arange(4, -1, -1)
    left = 0.9 * right[[0, 0, 1, 2, 3]]
    for solve in (value_iteration, policy_iteration):
        np.testing.assert_allclose(solve(chain(), 0.9), np.stack([left, right], 1), atol=1e-9)
    np.testing.assert_allclose(evaluate(chain(), np.ones(5, int), 0.9), right)
    np.testing.assert_array_equal(evaluate(chain(), np.zeros(5, int), 0.9), 0)


def test_a_random_policy_by_hand():
    """Of two places, the first leads to the second or stays; the second ends: V1 = 1, V0 = (0 + γ V0 + γ V1) / 2."""
    process = MDP(np.array([[[1.0, 0], [0, 1]], [[0, 0], [0, 0]]]), np.array([[0.0, 0], [1, 1]]), np.array([1.0, 0]), 9)
    v = evaluate(process, np.full((2, 2), 0.5), 0.8)
    np.testing.assert_allclose(v, [0.4 / 0.6, 1.0])


@pytest.mark.parametrize("gamma", [0.5, 0.99])
@pytest.mark.parametrize("name", ["FrozenLake", "FrozenLake8x8", "CliffWalking", "GridWorld", "Taxi"])
def test_value_and_policy_iteration_agree(name, gamma):
    process = mdp(name)
    one, other = value_iteration(process, gamma), policy_iteration(process, gamma)
    np.testing.assert_allclose(one, other, atol=1e-8)
    np.testing.assert_allclose(evaluate(process, one.argmax(1), gamma), one.max(1), atol=1e-8)


@pytest.mark.parametrize("name", ["FrozenLake", "GridWorld"])
def test_evaluation_agrees_with_simulation(name):
    """Discounted returns of a random policy."""
    process, rng = mdp(name), np.random.default_rng(0)
    env, total, discount = VectorEnv(name, 500, seed=0, restart=False), np.zeros(500), 1.0
    while not env.episode_end.all():
        step = env.step(rng.integers(env.num_actions, size=500))
        total += discount * step.reward
        discount *= 0.95
    value = process.start @ evaluate(process, np.full(process.reward.shape, 0.25), 0.95)
    assert total.mean() == pytest.approx(value, abs=4 * total.std() / 500**0.5)
    assert total.std() > 0.01


@pytest.mark.parametrize(("name", "best"), [("CliffWalking", -13), ("Taxi", 7.93)])
def test_known_optima(name, best):
    """Thirteen steps along the cliff; in the taxi, published as 7.93 on average over its 300 starts."""
    assert optimum(VectorEnv(name, 1, 0, max_episode_steps=200)) == pytest.approx(best, abs=0.01)


def test_the_optimal_policy_of_the_grid_reaches_the_optimum():
    process, env = mdp("GridWorld"), VectorEnv("GridWorld", 500, seed=1, restart=False)
    policy = value_iteration(process, 0.99).argmax(1)
    while not env.episode_end.all():
        env.step(policy[env.obs.argmax(1)])
    error = env.episode_return.std() / 500**0.5
    assert env.episode_return.mean() == pytest.approx(optimum(env), abs=4 * error)
    assert error < 0.05


def test_the_best_return_is_the_maximum_over_all_policies():
    """Over every policy that depends on the time left; no stationary policy reaches it here."""
    rng = np.random.default_rng(3)
    transition = rng.dirichlet([0.5] * 3, (3, 2)) * 0.9
    process = MDP(transition, rng.normal(size=(3, 2)), np.array([0.5, 0.3, 0.2]), 3)

    def value(policies):
        v = np.zeros(3)
        for policy in policies:
            chosen = np.arange(3), np.array(policy)
            v = process.reward[chosen] + process.transition[chosen] @ v
        return process.start @ v

    every = list(product(range(2), repeat=3))
    assert best_return(process, 3) == pytest.approx(max(map(value, product(every, repeat=3))))
    assert best_return(process, 3) >= max(value([policy] * 3) for policy in every)


def test_shorter_episodes_have_a_lower_optimum():
    assert optimum(VectorEnv("FrozenLake", 1, 0)) == pytest.approx(0.744, abs=1e-3)
    assert (
        optimum(VectorEnv("FrozenLake", 1, 0, max_episode_steps=5))
        < optimum(VectorEnv("FrozenLake", 1, 0, max_episode_steps=50))
        < 0.744
    )
    assert optimum(VectorEnv("FrozenLake", 1, 0, max_episode_steps=5)) == 0  # six steps are needed
