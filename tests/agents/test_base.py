"""Metrics of training episodes, the facts of a task, and the conveniences of `predict`."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlgen.agents.base import Agent
from rlgen.agents.networks import QNetwork
from rlgen.core.errors import UserError
from rlgen.core.run import Run


def episodes(agent, *pairs):
    """Metrics of finished episodes, (seed, return) each."""
    rows = [{"time": 1, "seed": seed, "return": value, "length": 1} for seed, value in pairs]
    return agent.episode_metrics(rows)


def test_returns_of_several_seeds_are_each_seed_s_own(build, tmp_path):
    """A seed without an episode has no return in that line, and not its last one again."""
    agent, run = build(seeds=2), Run.create(tmp_path, "run", None)
    with run:
        for time, pairs in ((10, [(0, 29.0), (1, 5.0)]), (20, [(0, 260.0), (0, 240.0)]), (30, []), (40, [(1, 7.0)])):
            run.collect({**episodes(agent, *pairs), "loss": 0.0})
            run.flush(time)
    rows = {row["time"]: row for row in run.rows()}
    assert rows[10]["return"] == [29, 5]
    assert rows[20]["return"] == [250, None]
    assert "return" not in rows[30]
    assert rows[40]["return"] == [None, 7]
    assert rows[40]["return_100"] == pytest.approx(((29 + 260 + 240) / 3 + 6) / 2)


def test_the_mean_of_the_last_100_episodes_waits_for_every_seed(build):
    agent = build(seeds=2)
    assert "return_100" not in episodes(agent, (0, 1.0))
    assert episodes(agent, (1, 3.0))["return_100"] == 2
    assert episodes(agent, *[(0, 5.0)] * 100)["return_100"] == 4


def test_the_facts_of_a_task(build):
    facts = build("CartPole", max_episode_steps=9).describe_task()
    assert facts["environment"] == "CartPole-v1"
    assert facts["actions"] == "Discrete(2)"
    assert "(4,)" in facts["observations"]
    assert "9 steps" in facts["episode limit"]


@pytest.mark.parametrize("recurrent", [False, True])
def test_lists_and_numbers_are_taken_where_arrays_are(build, recurrent):
    agent = build(recurrent=recurrent)
    obs = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    state = agent.predict(obs)[1]
    state = None if state is None else (state[0] + 0.5,)
    plain, after = agent.predict(obs, state, np.array([True, False, False]), action_mask=np.ones((3, 2), bool))
    lists = None if state is None else [state[0].tolist()]
    listed, after_ = agent.predict(obs.tolist(), lists, [True, False, False], action_mask=[[1, 1]] * 3)
    assert plain.tolist() == listed.tolist()
    assert agent.predict(obs[0].tolist())[0] == agent.predict(obs[0])[0]
    assert agent.predict(obs[0].tolist(), action_mask=[0, 1])[0] == 1
    if recurrent:
        np.testing.assert_array_equal(after[0], after_[0])


def test_numbers_and_lists_of_discrete_observations(build):
    agent = build("FrozenLake")
    expected = agent.predict(np.arange(16))[0].tolist()
    assert agent.predict(list(range(16)))[0].tolist() == expected
    assert [int(agent.predict(place)[0]) for place in range(16)] == expected
    assert int(agent.predict(np.int64(3))[0]) == expected[3]


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_noisy_agent_explores_by_its_noise_in_predictions(build, recurrent):
    """Not by ε, which noise replaces; and from a stream of its own."""
    agent = build(noisy=True, epsilon_end=1.0, recurrent=recurrent)
    obs = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    stream = agent.noise.get_state()
    greedy = agent.predict(obs)[0]
    draws = [agent.predict(obs, deterministic=False)[0] for _ in range(20)]
    assert torch.equal(agent.noise.get_state(), stream)
    assert len({tuple(draw.tolist()) for draw in draws}) > 5
    agreement = np.mean([(draw == greedy).mean() for draw in draws])
    assert agreement > 0.6  # of random actions it would be a half
    np.testing.assert_array_equal(agent.predict(obs)[0], greedy)


def test_a_noisy_agent_with_noise_zero_never_explores(build):
    agent = build(noisy=True, epsilon_end=1.0)
    for name, weight in agent.q.named_parameters():
        if name.endswith("sigma"):
            weight.data.zero_()
    obs = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    np.testing.assert_array_equal(agent.predict(obs, deterministic=False)[0], agent.predict(obs)[0])


def test_an_agent_has_values_by_a_method_of_its_own(build):
    agent = build()
    with pytest.raises(NotImplementedError):
        Agent.q_values(agent, agent.inputs())


# ---- predict


@pytest.mark.parametrize("task", ["CartPole", "FrozenLake", "TestVector", "TestDiscrete", "TestDict"])
@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("deterministic", [True, False])
def test_predictions_are_actions_of_the_environment(build, task, seeds, deterministic):
    agent = build(task, seeds=seeds, epsilon_end=0.5)
    env = gym.make(agent.env.name)
    obs, _ = env.reset(seed=0)
    for _ in range(4):
        action, state = agent.predict(obs, deterministic=deterministic)
        assert env.action_space.contains(action)
        assert np.shape(action) == ()
        assert int(action) == action
        assert state is None
        obs, *_ = env.step(action)


def test_predictions_of_a_batch_are_those_of_its_rows(build):
    for seeds in (1, 3):
        agent = build(seeds=seeds)
        alone = QNetwork((4,), 2, 1, agent.config)
        alone.load_state_dict({name: agent.q.weight(name)[0] for name in alone.state_dict()})
        obs = np.random.default_rng(0).normal(size=(20, 4))  # float64, as other libraries have it
        actions, _ = agent.predict(obs)
        assert actions.shape == (20,)
        assert actions.tolist() == [int(agent.predict(one)[0]) for one in obs]
        assert actions.tolist() == alone(torch.from_numpy(obs).float())[..., 0].argmax(1).tolist()
        assert set(actions.tolist()) == {0, 1}


def test_discrete_observations_one_at_a_time_and_as_a_batch(build):
    agent = build("FrozenLake")
    actions, _ = agent.predict(np.arange(16))
    with torch.no_grad():
        assert actions.tolist() == agent.q.network(torch.eye(16))[..., 0].argmax(1).tolist()
    assert actions.tolist() == [int(agent.predict(place)[0]) for place in range(16)]
    assert actions.tolist() == agent.predict(np.eye(16))[0].tolist()


def test_a_prediction_that_is_not_deterministic_explores(build):
    obs = np.zeros((3_000, 3), np.float32)
    for epsilon in (0.0, 0.6, 1.0):
        agent = build("TestVector", epsilon_end=epsilon)  # three actions, from 2
        greedy = agent.predict(obs[0])[0]
        actions, _ = agent.predict(obs, deterministic=False)
        assert set(actions.tolist()) == ({2, 3, 4} if epsilon else {int(greedy)})
        assert (actions == greedy).mean() == pytest.approx(1 - epsilon * 2 / 3, abs=0.04)
        assert len(set(agent.predict(obs)[0].tolist())) == 1


@pytest.mark.parametrize(("task", "observation"), [("CartPole", np.zeros(5)), ("FrozenLake", 16), ("FrozenLake", -1)])
def test_an_observation_outside_the_space_is_refused(build, task, observation):
    with pytest.raises(UserError, match=f"^an observation of {task}-v1"):
        build(task).predict(observation)


def evaluate_policy(model, envs, episodes):
    """The calls of Stable-Baselines3's `evaluate_policy`: n environments, state and episode_start."""
    observations, returns, totals = [env.reset(seed=i)[0] for i, env in enumerate(envs)], [], np.zeros(len(envs))
    states, starts = None, np.ones(len(envs), bool)
    while len(returns) < episodes:
        actions, states = model.predict(np.stack(observations), state=states, episode_start=starts, deterministic=True)
        assert actions.shape == (len(envs),)
        for i, (env, action) in enumerate(zip(envs, actions, strict=True)):
            observations[i], reward, terminated, truncated, _ = env.step(action)
            totals[i] += reward
            starts[i] = terminated or truncated
            if starts[i]:
                returns.append(totals[i])
                totals[i], observations[i] = 0, env.reset()[0]
    return returns


@pytest.mark.parametrize("task", ["CartPole", "FrozenLake", "TestVector"])
def test_stable_baselines3_can_evaluate_it(build, task):
    agent = build(task)
    returns = evaluate_policy(agent, [gym.make(agent.env.name) for _ in range(3)], 6)
    assert len(returns) >= 6
    if task == "TestVector":
        assert set(returns) == {4}


def test_a_state_is_returned_unchanged(build):
    state = (np.ones(2),)
    assert build().predict(np.zeros(4), state=state, episode_start=np.array([True]))[1] is state
