"""`Agent.values`: what the greedy action is the argmax of, against outputs of the network for one observation each."""

import numpy as np
import pytest
import torch

from rlgen.agents.settings import QLearning as TableSettings
from rlgen.agents.tabular import QLearning
from rlgen.core.settings import Setup
from tests.agents.tasks import LEGAL

HEADS = {
    "scalar": {},
    "dueling": {"dueling": True, "layer_norm": True},
    "c51": {"atoms": 11, "v_min": -2.0, "v_max": 3.0},
    "qrdqn": {"quantiles": 5},
    "noisy c51": {"atoms": 7, "noisy": True, "dueling": True},
}
OBS = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)


@pytest.fixture(params=HEADS)
def settings(request):
    return HEADS[request.param]


def alone(agent, obs, state=None):
    """The output (A, K) of the network of the first seed for one observation, without noise; and the next state."""
    agent.eval_mode()
    network, x = agent.q.alone(), torch.as_tensor(obs)[None]
    with torch.no_grad():
        if state is None:
            return network(x)[0], None
        out, state = network(x[None], torch.as_tensor(state)[None], torch.zeros(1, 1))
        return out[0, 0], state[0]


def mean(agent, out):
    """Q(s, a) of one output (A, K), by the definition of each representation."""
    if agent.config.atoms > 1:
        low, high = agent.support.bounds[0]
        atoms = [low + (high - low) * i / (agent.config.atoms - 1) for i in range(agent.config.atoms)]
        return [sum(p * z for p, z in zip(row.softmax(0).tolist(), atoms, strict=True)) for row in out]
    return [sum(row.tolist()) / len(row) for row in out]


@pytest.mark.parametrize("seeds", [1, 3])
def test_values_are_those_of_the_network_of_the_first_seed(build, settings, seeds):
    agent = build(seeds=seeds, **settings)
    found = agent.values(OBS)
    assert found.q.shape == (20, 2)
    assert found.q.dtype == np.float32
    expected = [mean(agent, alone(agent, obs)[0]) for obs in OBS]
    np.testing.assert_allclose(found.q, expected, rtol=1e-5, atol=1e-6)
    assert np.ptp(found.q, axis=0).min() > 1e-3  # the values depend on the observation


def test_the_greedy_action_is_the_argmax_of_the_values(build, settings):
    agent = build(**settings)
    found = agent.values(OBS)
    assert found.action.tolist() == agent.predict(OBS)[0].tolist()
    np.testing.assert_array_equal(found.v, found.q.max(1))
    inputs = agent.inputs()
    agent.eval_mode()
    np.testing.assert_array_equal(agent.q_values(inputs)[0], agent.values(agent.env.obs).q)  # the same bits


def test_one_observation_has_no_leading_axis(build, settings):
    agent = build(**settings)
    batch = agent.values(OBS)
    for i in (0, 7):
        single = agent.values(OBS[i])
        for name in ("q", "probabilities", "quantiles"):
            one, many = getattr(single, name), getattr(batch, name)
            assert (one is None) == (many is None)
            if one is not None:
                np.testing.assert_allclose(one, many[i], rtol=1e-4, atol=1e-6)
        assert single.v == single.q.max()
        assert single.action == single.q.argmax()


def test_probabilities_of_c51_sum_to_1_and_have_q_as_their_mean(build):
    agent = build(atoms=11, seeds=2)
    agent.support.range[:] = [[0.0, 40.0], [-3.0, 5.0]]
    agent.fit_support()  # another support for each seed
    found = agent.values(OBS)
    assert found.probabilities.shape == (20, 2, 11)
    assert found.quantiles is None
    np.testing.assert_allclose(found.atoms, np.linspace(*agent.support.bounds[0], 11), rtol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose((found.probabilities * found.atoms).sum(-1), found.q, rtol=1e-4)
    assert agent.values(OBS[0]).atoms.shape == (11,)


def test_weights_of_another_age_have_their_own_atoms(build):
    agent, other = build(atoms=11), build(atoms=11, seed=1)
    agent.support.range[:] = [[0.0, 40.0]]
    agent.fit_support()
    other.load_learned(agent.learned_dict())
    found, expected = other.values(OBS), agent.values(OBS)
    np.testing.assert_array_equal(found.atoms, expected.atoms)
    np.testing.assert_array_equal(found.q, expected.q)
    assert found.atoms[-1] == 50


def test_the_mean_of_the_quantiles_is_q(build):
    found = build(quantiles=5).values(OBS)
    assert found.quantiles.shape == (20, 2, 5)
    assert found.probabilities is None
    assert found.atoms is None
    np.testing.assert_allclose(found.quantiles.mean(-1), found.q, rtol=1e-5)
    assert np.ptp(found.quantiles, axis=-1).min() > 1e-3


def test_an_action_that_is_not_allowed_has_the_value_minus_infinity(build, settings):
    agent = build("TestLegal", **settings)
    free, masked = agent.values(np.arange(4)), agent.values(np.arange(4), action_mask=LEGAL)
    assert np.isfinite(free.q).all()
    assert (masked.q[~LEGAL] == -np.inf).all()
    np.testing.assert_array_equal(masked.q[LEGAL], free.q[LEGAL])
    assert masked.action.tolist() == agent.predict(np.arange(4), action_mask=LEGAL)[0].tolist()
    assert agent.values(1, action_mask=LEGAL[1]).action == 1  # the only one
    assert masked.q.dtype == np.float32


@pytest.mark.parametrize("settings", [{}, {"atoms": 7}, {"quantiles": 5}])
@pytest.mark.parametrize("seeds", [1, 2])
def test_recurrent_states_are_carried_as_in_predict(build, settings, seeds):
    agent = build(recurrent=True, seeds=seeds, **settings)
    state, own, following = None, np.zeros(agent.recurrent_size, np.float32), None
    for obs in OBS[:6]:
        found = agent.values(obs, state)
        out, own = alone(agent, obs, own)
        np.testing.assert_allclose(found.q, mean(agent, out), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.state[0][0], own.numpy(), rtol=1e-4, atol=1e-5)
        action, following = agent.predict(obs, following)
        assert action == found.action
        state = found.state
    np.testing.assert_array_equal(state[0], following[0])
    restarted = agent.values(OBS[:2], (np.repeat(state[0], 2, 0),), [True, False])
    np.testing.assert_allclose(restarted.q[0], agent.values(OBS[0]).q, rtol=1e-4, atol=1e-6)
    assert abs(restarted.q[1] - agent.values(OBS[1]).q).max() > 1e-5


def test_a_table_has_its_rows_as_values():
    agent = QLearning("FrozenLake", TableSettings(seeds=2), Setup(seed=0, threads=1))
    agent.q[:] = np.random.default_rng(0).normal(size=agent.q.shape)
    found = agent.values(np.arange(16))
    np.testing.assert_array_equal(found.q, agent.q[0])
    np.testing.assert_array_equal(agent.values(5).q, agent.q[0, 5])
    assert found.action.tolist() == agent.predict(np.arange(16))[0].tolist()
    assert (found.probabilities, found.quantiles, found.state) == (None, None, None)


@pytest.mark.parametrize("settings", [{"noisy": True, "atoms": 7}, {"epsilon_end": 1.0}])
def test_values_have_no_noise_and_change_nothing(build, settings, snapshot, same):
    """Beyond the noise in the weights, which the next step draws afresh."""
    agent = build(**settings)
    while agent.time < 60:
        agent.step()
    first = agent.values(OBS)
    before = snapshot(agent)
    agent.exploration_mode()
    np.testing.assert_array_equal(agent.values(OBS).q, first.q)
    np.testing.assert_array_equal(agent.values(OBS).q, first.q)
    assert same(before, snapshot(agent))
