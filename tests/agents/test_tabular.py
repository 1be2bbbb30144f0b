from itertools import product

import gymnasium as gym
import numpy as np
import pytest

import rlgen
from rlgen import catalog, evaluation
from rlgen.agents.actor import ActorInput
from rlgen.agents.dynamic_programming import best_return, evaluate, optimum, policy_iteration, value_iteration
from rlgen.agents.tabular import QLearning
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup
from rlgen.envs import Step, VectorEnv
from rlgen.envs.mdp import MDP, mdp
from tests.envs import toy_environments

SMALL = "S.. .#X ..G"
gym.register("TestSmallGrid-v0", "rlgen.envs.grid:GridWorld", max_episode_steps=50, kwargs={"map": SMALL, "slip": 0.05})


def chain():
    """The Chain of the tests: action 1 goes right, leaving at the right end brings 1; action 0 goes left."""
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


# ---- dynamic programming


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
def test_both_ways_lead_to_the_same_values(name, gamma):
    process = mdp(name)
    one, other = value_iteration(process, gamma), policy_iteration(process, gamma)
    np.testing.assert_allclose(one, other, atol=1e-8)
    np.testing.assert_allclose(evaluate(process, one.argmax(1), gamma), one.max(1), atol=1e-8)


@pytest.mark.parametrize("name", ["FrozenLake", "GridWorld"])
def test_evaluation_agrees_with_play(name):
    """Discounted returns of a random policy, played out."""
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


def test_the_optimum_of_the_grid_is_played():
    process, env = mdp("GridWorld"), VectorEnv("GridWorld", 500, seed=1, restart=False)
    policy = value_iteration(process, 0.99).argmax(1)
    while not env.episode_end.all():
        env.step(policy[env.obs.argmax(1)])
    error = env.episode_return.std() / 500**0.5
    assert env.episode_return.mean() == pytest.approx(optimum(env), abs=4 * error)
    assert error < 0.05


def test_the_best_return_is_that_of_the_best_of_all_policies():
    """Every policy that may choose by the time left, tried in turn; none that cannot does as well here."""
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


def test_a_shorter_episode_brings_less():
    assert optimum(VectorEnv("FrozenLake", 1, 0)) == pytest.approx(0.744, abs=1e-3)
    assert (
        optimum(VectorEnv("FrozenLake", 1, 0, max_episode_steps=5))
        < optimum(VectorEnv("FrozenLake", 1, 0, max_episode_steps=50))
        < 0.744
    )
    assert optimum(VectorEnv("FrozenLake", 1, 0, max_episode_steps=5)) == 0  # six steps are needed


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


def test_the_maximum_is_over_legal_actions():
    agent = build("TestChain", gamma=0.5)
    agent.q[0, 3] = 2.0, 8.0
    nothing, action_mask = np.zeros(1, bool), np.array([[True, False]])
    step = Step(np.ones(1), nothing, nothing, nothing, np.eye(5, dtype=np.float32)[[3]], action_mask, np.zeros(1))
    agent.learn(np.eye(5, dtype=np.float32)[[2]], np.array([1]), step)
    assert agent.q[0, 2, 1] == 1 + 0.5 * 2
    at = np.eye(5, dtype=np.float32)[[3]]
    assert agent.greedy(ActorInput(at, action_mask, None, nothing))[0].tolist() == [0]
    assert agent.greedy(ActorInput(at, np.ones((1, 1), bool), None, nothing))[0].tolist() == [1]


def test_lanes_of_a_seed_are_learned_from_in_turn():
    """With lr / n, a table holds the mean of its targets: both lanes count, though they stand in one place."""
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
    """Trap T1: reward 1 for ever is worth 1 / (1 - γ) = 10 though cut off after 5 steps; ended by then, 4.0951."""
    agent = train(build(world, gamma=0.9, lr_decay=0.0, num_envs=2), 2_500)
    np.testing.assert_allclose(agent.q[0, 0], worth, atol=1e-3)


@pytest.mark.parametrize("seeds", [1, 3])
def test_it_finds_the_values_of_the_chain(seeds):
    agent = train(build("TestChain", gamma=0.9, seeds=seeds, lr_decay=0.0, epsilon_end=0.5), 4_000)
    np.testing.assert_allclose(agent.q, np.broadcast_to(value_iteration(chain(), 0.9), agent.q.shape), atol=0.01)


def test_it_finds_the_values_of_a_small_grid():
    process = mdp("TestSmallGrid")
    agent = train(build("TestSmallGrid", gamma=0.9, seeds=2, num_envs=8, lr_decay=0.7, epsilon_end=1.0), 20_000)
    q, live = value_iteration(process, 0.9), process.transition.any((1, 2))
    assert (agent.visits[:, live] > 100).all()
    assert not agent.visits[:, ~live].any()
    np.testing.assert_allclose(agent.q[:, live], np.stack([q[live]] * 2), atol=0.05)
    assert not np.array_equal(agent.q[0], agent.q[1])


def test_no_action_is_taken_that_is_not_legal():
    agent = train(build("Taxi", num_envs=4, initial_q=5.0, epsilon_end=0.3, epsilon_steps=1_000), 3_000)
    taxi = gym.make("Taxi-v4").unwrapped if "Taxi-v4" in gym.registry else gym.make("Taxi-v3").unwrapped
    states, actions = np.nonzero(agent.visits[0])
    assert len(states) > 500
    assert all(taxi.action_mask(int(state))[action] for state, action in zip(states, actions, strict=True))


def test_it_predicts_from_bare_observations():
    agent = build("FrozenLake", seeds=2)
    agent.q[0, 3], agent.q[1, 3], agent.q[0, 8] = [0, 0, 9, 1], [0, 9, 0, 0], [0, 0, 0, 1]
    assert agent.predict(3)[0] == 2
    assert agent.predict(np.array([3, 8, 0]))[0].tolist() == [2, 3, 0]
    assert agent.predict(3, action_mask=np.array([True, True, False, True]))[0] == 3
    actions = agent.predict(np.full(400, 3), deterministic=False)[0]
    assert 0.85 < (actions == 2).mean() < 0.99


def test_several_discrete_numbers_are_one_state():
    agent = train(build("Blackjack"), 2_000)
    assert agent.q.shape == (1, 32 * 11 * 2, 2)
    assert (agent.visits > 0).sum() > 100
    assert optimum(agent.env) is None


@pytest.mark.parametrize("world", ["CartPole", "Catch"])
def test_what_has_no_states_to_count_is_refused(world):
    with pytest.raises(UserError, match=f"^{world}: qlearning needs discrete observations; [^\n]*`rlgen dqn {world}`$"):
        build(world)


# ---- the optimum beside the score


def test_a_report_has_the_optimum_where_it_is_known(tmp_path):
    run = rlgen.train("qlearning", "CliffWalking", runs=tmp_path)
    report = rlgen.load(run).report(5, seed=0)
    assert report.values["mean"] == report.values["score"] == report.values["optimum"] == -13
    assert report.details == {"returns": [-13.0] * 5}
    assert report.lines[0].startswith("score   mean return -13.0 over 5 fresh greedy episodes (95 % interval")
    assert report.lines[1] == "optimum -13.0: the best policy within the time limit; the interval contains it"


@pytest.mark.slow
@pytest.mark.parametrize("task", list(catalog.find("qlearning").tuned))
def test_the_tuned_settings_reach_the_optimum(task, tmp_path):
    """In 99 of 100 tables the true value is within 2.6 standard errors."""
    run = rlgen.train("qlearning", task, runs=tmp_path)
    result = evaluation.score(rlgen.load(run), 400)
    assert result["mean"] == pytest.approx(result["optimum"], abs=2.6 * result["std"] / 20 + 0.02)
