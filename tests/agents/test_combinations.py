"""The improvements of Rainbow and Munchausen in every combination."""

import copy
from itertools import combinations, product

import numpy as np
import pytest
import torch

from rlgen.agents.values import Categorical
from rlgen.core.errors import UserError
from tests.agents.test_dqn import weights
from tests.agents.test_rainbow import KINDS

SWITCHES = {
    "kind": ["huber", "c51", "qr"],
    "double": [False, True],
    "dueling": [False, True],
    "alpha": [0.0, 0.6],
    "n_step": [1, 3],
    "noisy": [False, True],
    "munchausen": [0.0, 0.9],
    "seeds": [1, 2],
}
TINY = {
    "width": 4,
    "batch": 4,
    "learning_starts": 0,
    "train_freq": 6,
    "gradient_steps": 2,
    "buffer_size": 40,
    "target_update_interval": 12,
}


def every():
    return [dict(zip(SWITCHES, values, strict=True)) for values in product(*SWITCHES.values())]


def pairwise_cover(choices):
    """A few choices that contain every pair of settings of two switches."""

    def pairs(choice):
        return set(combinations(sorted((name, str(value)) for name, value in choice.items()), 2))

    left, cover = set().union(*map(pairs, choices)), []
    while left:
        cover.append(max(choices, key=lambda choice: len(pairs(choice) & left)))
        left -= pairs(cover[-1])
    return cover


def make(build, choice, **more):
    choice = {**TINY, **choice, **more}
    return build("TestLegal", **KINDS[choice.pop("kind")], **choice)


@pytest.mark.parametrize("kind", SWITCHES["kind"])
def test_every_combination_of_switches_learns(build, kind):
    """With one seed for an even number of other switches, with two for an odd one."""
    for choice in every():
        on = sum(choice[name] not in (False, 0.0, 1) for name in SWITCHES if name not in ("kind", "seeds"))
        if choice["kind"] == kind and choice["seeds"] == 1 + on % 2:
            agent = make(build, choice)
            before = weights(agent.q)
            metrics = agent.step()
            for name in ("loss", "q", "gradient_norm"):
                assert metrics[name].shape == (choice["seeds"],)
            assert all(
                torch.as_tensor(x).isfinite().all() for name, x in metrics.items() if name not in ("episodes", "return")
            ), choice
            assert not any(map(torch.equal, before, weights(agent.q))), choice


def test_the_cover_is_small():
    assert 6 <= len(pairwise_cover(every())) <= 16


@pytest.mark.parametrize("choice", pairwise_cover(every()), ids=str)
@pytest.mark.parametrize("recurrent", [False, True])
def test_combinations_resume_to_the_bit(build, snapshot, same, choice, recurrent):
    """T15: priorities, the largest of them, and the stream of noise among the rest."""
    more = {"recurrent": True, "length": 3, "burn_in": 2} if recurrent else {}
    whole, resumed = make(build, choice, num_envs=2, **more), make(build, choice, num_envs=2, **more)
    for _ in range(8):  # around the ring buffer
        whole.step()
    resumed.step()  # a different state before the load
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    resumed.evaluate()  # without an effect on the training
    for _ in range(3):
        metrics, metrics_ = whole.step(), resumed.step()
        assert "loss" in metrics
        assert all(
            torch.equal(torch.as_tensor(x), torch.as_tensor(metrics_[name]))
            for name, x in metrics.items()
            if name != "episodes"
        )
        assert metrics.get("episodes") == metrics_.get("episodes")
    assert same(snapshot(whole), snapshot(resumed))


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_of_rainbow_do_not_influence_each_other(build, kind):
    """T10: priorities, the largest of them, noise and distributions are separate per seed."""
    settings = {"double": True, "dueling": True, "alpha": 0.5, "n_step": 3, "noisy": True, "munchausen": 0.5}
    one, other = (build(seeds=3, **settings, **KINDS[kind]) for _ in range(2))
    for agent in (one, other):
        for _ in range(25):
            agent.collect()
    other.replay.reward.reshape(-1, 3)[:, 0] = 1e3
    for _ in range(5):
        losses = [agent.learn()["loss"] for agent in (one, other)]
    torch.testing.assert_close(losses[0][1:], losses[1][1:])
    for ours, theirs in zip(weights(one.q), weights(other.q), strict=True):
        assert not torch.equal(ours[0], theirs[0])
        torch.testing.assert_close(ours[1:], theirs[1:])


def test_rainbow_acts_by_the_mean_of_its_distributions(build):
    """In acting as in learning."""
    agent = build(atoms=7, v_max=3.0)
    assert isinstance(agent.value, Categorical)
    obs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    with torch.no_grad():
        p = agent.q(torch.from_numpy(obs)[None])[0].softmax(-1)
        expected = (p * torch.linspace(0, 3, 7)).sum(-1).argmax(-1)
    assert agent.predict(obs)[0].tolist() == expected.tolist()
    with pytest.raises(UserError):
        agent.predict(np.zeros(5))
