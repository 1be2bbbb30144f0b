"""Metrics of training episodes, the facts of a task, and the conveniences of `predict`."""

import numpy as np
import pytest
import torch

from rlgen.agents.base import Agent
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


def test_an_agent_acts_by_a_method_of_its_own(build):
    agent = build()
    with pytest.raises(NotImplementedError):
        Agent.greedy(agent, agent.inputs())
