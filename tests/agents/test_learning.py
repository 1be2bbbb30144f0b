"""Whether it learns what is known beforehand, and what the tuned settings promise."""

import numpy as np
import pytest
import torch

import rlgen
from rlgen import api, catalog
from tests.envs import worlds

QUICK = {
    "seeds": 3, "width": 32, "depth": 1, "batch": 32, "lr": 1e-3, "loss": "mse", "capacity": 5_000, "warmup": 200,
    "epsilon_end": 0.5, "epsilon_steps": 1_000, "train_every": 4, "sync_every": 50,
}  # fmt: skip


def learned(agent, steps):
    """Q of every place and action after so many steps, (S, places, A)."""
    while agent.time < steps:
        agent.step()
    with torch.no_grad():
        places = torch.eye(agent.lanes.shape[0]).expand(agent.config.seeds, -1, -1)
        return agent.q(places)[..., 0].numpy()


def test_naming_what_it_sees(build):
    """The next observation owes nothing to the action: Q* is 1 / (1 - γ) for the right one and 1 less for others."""
    agent = build("TestIdentity", **QUICK, gamma=0.5, double=True)
    q = learned(agent, 2_000)
    assert (q.argmax(-1) == np.arange(4)).all()
    np.testing.assert_allclose(q, np.broadcast_to(1 + np.eye(4), (3, 4, 4)), atol=0.05)
    np.testing.assert_array_equal(agent.rollout(5, seed=0), 10)


def test_walking_to_the_end_of_a_chain(build):
    best = np.zeros((5, 2))
    for _ in range(100):  # value iteration
        for place in range(5):
            for action in range(2):
                successor, reward, over = worlds.chain(place, action)
                best[place, action] = reward + (0 if over else 0.9 * best[successor].max())
    assert best.argmax(1).tolist() == [1] * 5
    agent = build("TestChain", **QUICK, gamma=0.9)
    q = learned(agent, 3_200)
    np.testing.assert_allclose(q, np.broadcast_to(best, (3, 5, 2)), atol=0.05)
    assert (q.argmax(-1) == 1).all()
    np.testing.assert_array_equal(agent.rollout(5, seed=0), 1)


@pytest.mark.slow
def test_the_tuned_settings_solve_cartpole(tmp_path):
    """475 is what gymnasium calls solved."""
    entry, scores = catalog.find("dqn"), []
    for seed in range(5):
        run = rlgen.train("dqn", "CartPole", runs=tmp_path, seed=seed)
        scores.append(api.score(rlgen.load(run), entry, episodes=100)["mean"])
    assert sum(score >= 475 for score in scores) >= 4, scores
