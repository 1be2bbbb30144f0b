"""Gradient steps by hand and by autograd agree."""

import copy

import pytest
import torch

from rlgen.agents.gradients import Autograd, ByHand, gradients

KINDS = {
    "rainbow": {"double": True, "dueling": True, "alpha": 0.5, "n_step": 3, "atoms": 5, "noisy": True,
                "v_min": -1.0, "v_max": 9.0},
    "munchausen": {"munchausen": 0.9, "n_step": 2},
    "quantiles": {"quantiles": 5, "layer_norm": True},
    "mse": {"loss": "mse", "double": True},
    "plain": {"n_step": 2, "depth": 2, "layer_norm": True},
    "dueling": {"double": True, "dueling": True, "alpha": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_training_by_hand_is_one_by_autograd(build, kind, seeds):
    """Losses, priorities and weights after updates of several gradient steps, to float32 rounding."""
    agents = [build(seeds=seeds, gradient_steps=2, learning_starts=20, **KINDS[kind]) for _ in range(2)]
    fast, slow = agents
    slow.online, slow.fixed, slow.plain = Autograd(slow.q), Autograd(slow.target), None
    assert isinstance(fast.online, ByHand)
    for _ in range(12):
        one, other = (agent.step() for agent in agents)
    torch.testing.assert_close(one["loss"], other["loss"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one["gradient_norm"], other["gradient_norm"], rtol=1e-3, atol=1e-5)
    for name, weight in fast.q.state_dict().items():
        torch.testing.assert_close(weight, slow.q.state_dict()[name], rtol=1e-3, atol=1e-4)
    if fast.config.alpha:
        torch.testing.assert_close(fast.replay.priorities.of, slow.replay.priorities.of, rtol=1e-3, atol=1e-4)


def test_images_and_other_networks_are_left_to_autograd(build):
    assert isinstance(build().online, ByHand)
    assert isinstance(build("Catch").online, Autograd)
    assert isinstance(build(recurrent=True).online, Autograd)
    assert isinstance(gradients(torch.nn.Linear(4, 2)), Autograd)


def test_gradients_of_former_steps_are_not_added(build):
    agent = build("Catch")
    before, obs = copy.deepcopy(agent.q), torch.rand(1, 8, *agent.env.shape)
    slope = torch.rand(1, 8, agent.env.num_actions, 1)
    for _ in range(2):
        agent.online.forward(obs)
        agent.online.backward(slope)
    before(obs).backward(slope)
    for weight, expected in zip(agent.q.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, expected.grad)
