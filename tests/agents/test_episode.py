"""Recorded greedy episodes, beside a slow loop with `predict` and `values`."""

import numpy as np
import pytest
import torch

from rlgen.agents.actor import softmax_policy
from rlgen.agents.episode import Player, discounted, munchausen_terms, record
from rlgen.agents.tabular import QLearning
from rlgen.core.seeds import derive
from rlgen.core.settings import Setup

AGENTS = {
    "dqn": ("CartPole", {}),
    "noisy": ("CartPole", {"noisy": True, "seeds": 2}),
    "masks": ("TestLegal", {"seeds": 2}),
    "c51": ("TestIdentity", {"atoms": 7, "v_min": -1, "v_max": 4}),
    "quantiles": ("TestIdentity", {"quantiles": 5}),
    "stack": ("CartPole", {"frame_stack": 3}),
    "drqn": ("TestCue", {"recurrent": True, "quantiles": 3}),
    "lives": ("TestLives", {"life_loss": True, "clip_reward": True}),
    "pixels": ("Catch", {"max_episode_steps": 12}),
}


def table(task="FrozenLake", **settings):
    agent = QLearning(task, QLearning.Config(**settings), Setup(seed=0, threads=1))
    agent.q[:] = np.random.default_rng(0).random(agent.q.shape)
    return agent


@pytest.fixture(params=[*AGENTS, "qlearning"])
def agent(request, build):
    if request.param == "qlearning":
        return table(seeds=2)
    task, settings = AGENTS[request.param]
    return build(task, **settings)


def test_an_episode_is_that_of_a_loop_with_predict(agent):
    episode = record(agent, seed=3, frames=False)
    env = agent.make_env(
        1, derive(3, "film"), restart=False, clip_reward=agent.env.clip_reward, life_loss=agent.env.life_loss
    )
    state, total, steps = None, [], []
    for t, action in enumerate(episode.actions.tolist()):
        assert not env.episode_end[0]
        np.testing.assert_array_equal(env.obs[0], episode.observations[t])
        mask = env.action_mask if env.action_mask.shape[1] > 1 else None
        values = agent.values(env.obs, state, env.is_first, mask)
        np.testing.assert_allclose(episode.q[t], values.q[0], rtol=1e-5, atol=1e-6)
        assert episode.v[t] == pytest.approx(max(q for q in values.q[0].tolist() if np.isfinite(q)), abs=1e-5)
        for name in ("probabilities", "quantiles"):
            one, other = getattr(episode, name), getattr(values, name)
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(one[t], other[0], rtol=1e-4, atol=1e-6)
        chosen, state = agent.predict(env.obs, state, env.is_first, True, mask)
        assert chosen[0] - env.first_action == action
        steps.append(env.step(chosen - env.first_action))
        total.append(float(env.episode_return[0]))
    assert env.episode_end[0]
    np.testing.assert_allclose(episode.rewards.cumsum(), total, atol=1e-9)
    assert episode.score == pytest.approx(total[-1])
    for t in range(len(steps)):  # the definition, a sum of its own for every step
        discount, expected = 1.0, 0.0
        for step in steps[t:]:
            expected += discount * float(step.reward[0])
            discount *= agent.config.gamma * (not step.terminated[0])
        assert episode.returns[t] == pytest.approx(expected, abs=1e-5)
        assert episode.sums[t] == pytest.approx(total[-1] - (total[t - 1] if t else 0), abs=1e-9)
    assert len(episode) == len(steps) == len(episode.observations) - 1
    assert episode.terminated == bool(steps[-1].terminated[0])
    assert episode.terminated != episode.truncated


def test_recording_leaves_the_agent_and_its_training_as_they_were(agent):
    before = dict(_leaves(agent.state_dict()))
    record(agent, seed=0, max_steps=5, frames=False)
    after = dict(_leaves(agent.state_dict()))
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before if "noise" not in name)


def _leaves(state, path=""):
    if isinstance(state, dict):
        for name, value in state.items():
            yield from _leaves(value, f"{path}/{name}")
    elif isinstance(state, torch.Tensor):
        yield path, state.numpy().copy()


def test_a_time_limit_leaves_the_value_of_the_last_state(build):
    agent = build("TestTruncated", gamma=0.5)
    with torch.no_grad():
        for parameter in agent.q.network.parameters():
            parameter.zero_()
        list(agent.q.network.parameters())[-1].fill_(2.0)  # Q(s, a) = 1 / (1 - γ) everywhere
    episode = record(agent, seed=0, frames=False)
    assert (episode.truncated, len(episode)) == (True, 5)
    np.testing.assert_allclose(episode.v, 2.0)
    np.testing.assert_allclose(episode.returns, [1.9375, 1.875, 1.75, 1.5, 1.0])
    np.testing.assert_allclose(episode.returns + episode.tail, episode.v)


def test_a_cut_recording_is_no_end_of_the_episode(build):
    episode = record(build("TestTruncated", gamma=0.5), seed=0, max_steps=2, frames=False)
    assert (len(episode), episode.truncated, episode.terminated) == (2, False, False)
    assert episode.tail[1] != 0
    assert episode.tail[0] == pytest.approx(0.5 * episode.tail[1])


def test_returns_end_at_a_termination_within_the_episode():
    returns, tail = discounted(np.array([1.0, 2.0, 4.0]), np.array([False, True, False]), 0.5, 8.0)
    assert returns.tolist() == [2.0, 2.0, 4.0]
    assert tail.tolist() == [0.0, 0.0, 4.0]


def test_the_terms_of_munchausen_are_those_of_its_target():
    q = np.array([[1.0, 2.0, -np.inf], [0.5, 0.5, 0.4], [3.0, 0.0, 1.0]])
    bonus = munchausen_terms(q, np.array([0, 2]), np.array([False, True]), 0.9, 0.8, 0.5)
    policy = softmax_policy(torch.tensor(q), torch.isfinite(torch.tensor(q)), 0.5).numpy()
    entropy = -(policy[1] * np.log(policy[1])).sum()
    first = 0.8 * max(0.5 * np.log(policy[0, 0]), -1) + 0.9 * 0.5 * entropy
    second = 0.8 * max(0.5 * np.log(policy[1, 2]), -1)
    np.testing.assert_allclose(bonus, [first, second])


def test_the_units_of_values_are_named(build):
    agent = build("TestLives", clip_reward=True, life_loss=True, gamma=0.9, munchausen=0.9, temperature=0.5)
    episode = record(agent, 0, frames=False)
    assert "clipped" in episode.units
    assert "0.9 per step" in episode.units
    assert "a life" in episode.units
    assert "Munchausen" in episode.units
    assert not np.allclose(episode.learned, np.sign(episode.rewards))
    plain = record(build("TestLives"), 0, frames=False)
    assert plain.units == "sum of rewards discounted by 0.99 per step"


def test_pictures_are_converted_as_they_are_taken(build):
    agent = build("FrozenLake")
    episode = record(agent, 0, max_steps=4, picture=lambda frame: frame.shape)
    assert episode.frames == [(256, 256, 3)] * (len(episode) + 1)
    assert record(agent, 0, max_steps=4, frames=False).frames == []


def test_a_person_acts_and_hands_back():
    agent = table()
    player = Player(agent, seed=1)
    first = player.values.q.copy()
    worst = int(first.argmin())
    assert worst != player.values.action
    player.step(worst)
    np.testing.assert_allclose(player.values.q, agent.values(player.env.obs[0]).q)
    while not player.ended:
        player.step()
    assert player.score in (0.0, 1.0)
