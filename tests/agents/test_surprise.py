"""TD errors of stored transitions, against those that `learn` computes and against sums one transition at a time."""

import numpy as np
import pytest
import torch

from rlgen.agents.replay import LEAST
from rlgen.agents.settings import QLearning as TableSettings
from rlgen.agents.surprise import surprise
from rlgen.agents.tabular import QLearning
from rlgen.core.errors import UserError
from rlgen.core.settings import Setup

KINDS = {
    "uniform": {},
    "double of n steps": {"double": True, "n_step": 3, "num_envs": 2},
    "c51": {"atoms": 11, "v_min": -2.0, "v_max": 8.0},
    "qrdqn": {"quantiles": 5, "seeds": 2},
    "munchausen": {"munchausen": 0.9},
    "drqn": {"recurrent": True, "double": True},
    "drqn of n steps": {"recurrent": True, "n_step": 3, "munchausen": 0.9, "quantiles": 3, "seeds": 2},
}


def trained(build, **settings):
    agent = build(**{"recurrent": False, **settings})
    while agent.time < 80:
        agent.step()
    return agent


@pytest.fixture(params=KINDS)
def agent(request, build):
    return trained(build, **KINDS[request.param])


def test_every_stored_transition_has_a_td_error(agent):
    found = surprise(agent, 10_000)
    rows = agent.replay.windows(agent.replay.n + bool(agent.recurrent_size))
    assert len(found.errors) == rows * agent.config.num_envs > 50
    np.testing.assert_allclose(found.errors, found.targets - found.q)
    assert found.stored is None
    assert found.time.tolist() == sorted(found.time.tolist())
    assert found.time[0] == agent.config.num_envs
    assert (found.priorities >= 0).all()


def test_q_is_that_of_the_action_taken(agent):
    found = surprise(agent, 10_000)
    slot = agent.replay.spaced(10_000, agent.replay.n + bool(agent.recurrent_size))[1][0]
    states = agent.replay.recurrent_state[slot]
    for i in (0, 5, len(slot) - 1):
        state = (states[i][None],) if agent.recurrent_size else None
        first = None if state is None else [bool(agent.replay.frames.is_first(slot[i : i + 1])[0])]
        values = agent.values(found.observations[i], state, first)
        assert found.q[i] == pytest.approx(values.q[found.actions[i]], rel=1e-3, abs=1e-5)


def test_targets_of_one_step_are_sums_of_reward_and_next_value(build):
    agent = trained(build, num_envs=1)
    found = surprise(agent, 10_000)
    with torch.no_grad():
        after = agent.target(torch.from_numpy(found.next_observations[None]))[0, ..., 0].max(1).values.numpy()
    for i, reward in enumerate(found.rewards):
        discount = found.discounts[i]
        assert discount in (0, pytest.approx(agent.config.gamma))
        assert reward == 1
        assert found.targets[i] == pytest.approx(reward + (discount and discount * after[i]), rel=1e-4)
    assert (found.discounts == 0).any()
    np.testing.assert_allclose(found.priorities, np.abs(found.errors), rtol=1e-4, atol=1e-5)


def test_stored_priorities_are_those_of_the_buffer(build):
    agent = trained(build, alpha=0.5)
    found = surprise(agent, 10_000)
    places = agent.replay.priorities.of[0]
    known = np.isfinite(found.stored)
    assert 20 < known.sum() <= len(known)
    expected = places[: len(known)][known] ** 2 - LEAST
    np.testing.assert_allclose(found.stored[known], expected, atol=1e-9)
    agent.replay.prioritize(torch.tensor([[3]]), torch.tensor([[123.0]]))
    assert surprise(agent, 10_000).stored[3] == pytest.approx(123, rel=1e-5)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_transitions_are_evenly_spaced_over_the_buffer(build, num_envs):
    agent = trained(build, num_envs=num_envs, buffer_size=30)
    row, slot = agent.replay.spaced(10, 1)
    first, end = agent.replay.count - agent.replay.rows, agent.replay.count
    assert (row[0], row[-1]) == (first, end - 1)
    assert np.ptp(np.diff(row * num_envs + slot[0] % num_envs)) <= 1
    whole_row, whole_slot = agent.replay.spaced(1_000, 1)
    assert len(set(whole_slot[0].tolist())) == len(whole_slot[0]) == 30 // num_envs * num_envs
    assert set(whole_row.tolist()) == set(range(first, end))


def test_the_training_is_not_changed(agent, snapshot, same):
    before = snapshot(agent)
    surprise(agent, 50)
    assert same(before, snapshot(agent))


def test_without_a_replay_buffer_there_is_a_clear_line(build):
    table = QLearning("FrozenLake", TableSettings(), Setup(seed=0, threads=1))
    with pytest.raises(UserError, match="has no replay buffer"):
        surprise(table, 10)
    with pytest.raises(UserError, match=r"is empty: .* a portrait has none"):
        surprise(build(), 10)
