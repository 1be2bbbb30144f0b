"""Learning on toy environments whose values are known."""

import numpy as np
import pytest
import torch

from rlgen import catalog
from tests.envs import toy_environments

QUICK = {
    "width": 32, "depth": 1, "batch": 32, "lr": 1e-3, "buffer_size": 5_000, "learning_starts": 200,
    "epsilon_end": 0.5, "epsilon_steps": 1_000, "train_freq": 4, "target_update_interval": 50,
}  # fmt: skip
KINDS = {  # what the catalog says they are, on the small scale of these tasks
    "dqn": {"loss": "mse"},
    "c51": {"lr": 3e-3},
    "qrdqn": {"lr": 3e-3, "quantiles": 11},
    "rainbow": {"lr": 3e-3},
}


def learned(agent, steps):
    """Q of every state and action after `steps` steps, (S, states, A)."""
    while agent.time < steps:
        agent.step()
    with torch.no_grad():
        places = torch.eye(agent.env.shape[0]).expand(agent.config.seeds, -1, -1)
        return agent.value.mean(agent.q(places)).numpy()


def options(kind, low, high, **more):
    """The settings of a catalog entry, with a support from `low` to `high` for C51."""
    preset = catalog.find(kind).preset
    support = {"v_min": low, "v_max": high} if "atoms" in preset else {}
    return {**QUICK, **preset, **support, **KINDS[kind], **more}


@pytest.mark.parametrize(
    ("kind", "seeds"), [("dqn", 3), ("c51", 1), ("qrdqn", 1), pytest.param("rainbow", 1, marks=pytest.mark.slow)]
)
def test_values_of_the_identity_environment(build, kind, seeds):
    """The next observation is independent of the action: Q* is 1 / (1 - γ) for the right one and 1 less for others.

    Rainbow stops trying the other actions, so only the value of the right one is compared. Its n is 1 here: n-step
    returns include the rewards of its early errors.
    """
    agent = build("TestIdentity", **options(kind, -0.5, 2.5, gamma=0.5, seeds=seeds, n_step=1))
    q = learned(agent, 2_000 if seeds > 1 else 1_600)
    assert (q.argmax(-1) == np.arange(4)).all()
    right, every = np.eye(4, dtype=bool), 1 + np.eye(4)
    compared = right if kind == "rainbow" else np.ones((4, 4), bool)
    np.testing.assert_allclose(q[:, compared], np.broadcast_to(every[compared], (seeds, compared.sum())), atol=0.05)
    np.testing.assert_array_equal(agent.rollout(5, seed=0), 10)


def optimum():
    """Q* of the chain at γ = 0.9, by value iteration: (states, actions)."""
    best = np.zeros((5, 2))
    for _ in range(100):
        for place in range(5):
            for action in range(2):
                successor, reward, over = toy_environments.chain(place, action)
                best[place, action] = reward + (0 if over else 0.9 * best[successor].max())
    return best


@pytest.mark.parametrize(("kind", "seeds"), [("dqn", 3), ("c51", 1), ("qrdqn", 1), ("rainbow", 1)])
def test_values_of_the_chain(build, kind, seeds):
    """T1: Q* is independent of the start state and of the time limit of 20 steps."""
    best = optimum()
    assert best.argmax(1).tolist() == [1] * 5
    more = {"buffer_size": 1_000} if kind == "rainbow" else {}  # few early, bad actions
    agent = build("TestChain", **options(kind, -0.2, 1.2, gamma=0.9, seeds=seeds, **more))
    q = learned(agent, 2_600 if seeds > 1 else 1_800)
    compared = np.s_[:, :, 1:] if kind == "rainbow" else np.s_[:]  # without actions that are no longer tried
    np.testing.assert_allclose(q[compared], np.broadcast_to(best, (seeds, 5, 2))[compared], atol=0.05)
    assert (q.argmax(-1) == 1).all()
    np.testing.assert_array_equal(agent.rollout(5, seed=0), 1)


def test_munchausen_keeps_the_value_of_the_best_action_and_widens_the_action_gap(build):
    """Vieillard et al. 2020, section 3: the clipped log-policy of bad actions lowers them by 0.9."""
    best = optimum()
    q = learned(build("TestChain", **QUICK, gamma=0.9, munchausen=0.9), 2_600)[0]
    np.testing.assert_allclose(q[:, 1], best[:, 1], atol=0.05)
    assert (q[:, 0] < best[:, 0] - 0.4).all()


@pytest.mark.parametrize(("world", "ends"), [("TestTruncated", False), ("TestTerminated", True)])
@pytest.mark.parametrize("n_step", [1, 2])
def test_a_time_limit_is_no_termination(build, world, ends, n_step):
    """T1: reward 1 at every step of five states in a circle; truncated, or terminated, after five."""
    q = learned(build(world, **{**QUICK, "lr": 5e-3}, gamma=0.5, n_step=n_step), 1_200)[0]
    expected = [2 - 0.5 ** (4 - place) if ends else 2 for place in range(5)]
    np.testing.assert_allclose(q, np.repeat(expected, 2).reshape(5, 2), atol=0.05)


@pytest.mark.slow
def test_the_cue_task_needs_a_recurrent_network(build):
    """The cue is shown at the start and needed four steps later; without it half of the actions are right."""
    settings = {
        "width": 16, "batch": 16, "lr": 5e-3, "buffer_size": 5_000, "learning_starts": 200, "epsilon_steps": 1_000,
        "epsilon_end": 0.1, "train_freq": 8, "target_update_interval": 100, "gamma": 0.9,
    }  # fmt: skip
    for recurrent, more in ((True, {"length": 5, "burn_in": 0}), (False, {})):
        agent = build("TestCue", recurrent=recurrent, **settings, **more)
        while agent.time < 2_000:
            agent.step()
        score = agent.rollout(300, seed=0).mean()
        assert score == 1 if recurrent else abs(score - 0.5) < 0.15
