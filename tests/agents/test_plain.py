"""The gradient steps of plain deep Q-learning, against autograd in float64."""

import copy
import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rlgen.agents.plain import Plain
from rlgen.core.errors import Diverged


def loss_of(agent, batch, q, target):
    """The loss of each seed, (S,), in float64."""
    obs, next_obs = batch.obs.double(), batch.next_obs.double()
    with torch.no_grad():
        next_q = target(next_obs).squeeze(-1)
        selector = q(next_obs).squeeze(-1) if agent.config.double else next_q
        best = selector.masked_fill(~batch.next_action_mask, -math.inf).argmax(-1, keepdim=True)
        y = batch.reward + batch.discount * next_q.gather(-1, best).squeeze(-1)
    chosen = q(obs).squeeze(-1).gather(-1, batch.action.unsqueeze(-1)).squeeze(-1)
    loss = F.mse_loss if agent.config.loss == "mse" else F.smooth_l1_loss
    return (batch.weight * loss(chosen, y, reduction="none")).mean(1), chosen - y


@pytest.mark.parametrize(("double", "dueling", "loss"), list(product([False, True], [False, True], ["huber", "mse"])))
@pytest.mark.parametrize(("task", "seeds"), [("CartPole", 1), ("TestLegal", 3)])
def test_loss_gradient_and_errors_are_those_of_autograd(build, task, seeds, double, dueling, loss):
    agent = build(task, seeds=seeds, double=double, dueling=dueling, loss=loss, alpha=0.5, layer_norm=True, depth=2)
    for _ in range(20):
        agent.collect()
    with torch.no_grad():
        for weight in agent.target.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    batch = agent.replay.sample(agent.config.batch)
    batch = batch._replace(weight=torch.rand_like(batch.weight), reward=3 * torch.randn_like(batch.reward))
    q, target = (copy.deepcopy(network).double() for network in (agent.q, agent.target))
    expected, error = loss_of(agent, batch, q, target)
    q.zero_grad()
    expected.sum().backward()
    metrics, absolute = agent.plain.descend(batch, agent.time)
    torch.testing.assert_close(metrics["loss"].double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(absolute.double(), error.abs(), rtol=1e-4, atol=1e-5)
    norms = torch.stack([weight.grad.reshape(seeds, -1).norm(dim=1) for weight in q.parameters()]).norm(dim=0)
    torch.testing.assert_close(metrics["gradient_norm"].double(), norms, rtol=1e-4, atol=1e-5)
    scale = (agent.config.max_grad_norm / norms).clamp(max=1)
    for own, weight in zip(agent.q.parameters(), q.parameters(), strict=True):
        clipped = (weight.grad.reshape(seeds, -1) * scale[:, None]).reshape(weight.shape)
        torch.testing.assert_close(own.grad.double(), clipped, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("double", [False, True])
def test_each_batch_has_a_step_with_the_weights_of_the_step_before(build, double):
    """As many steps at once as one by one: the target network is the same in both."""
    agents = [build(seeds=2, double=double) for _ in range(2)]
    for agent in agents:
        for _ in range(20):
            agent.collect()
    batches = agents[0].replay.sample(3 * agents[0].config.batch)
    together, _ = agents[0].plain.descend(batches, 50)
    for batch in batches.split(agents[0].config.batch):
        apart, _ = agents[1].plain.descend(batch, 50)
    assert all(torch.allclose(together[name], apart[name], rtol=1e-5) for name in apart)
    for one, other in zip(agents[0].q.parameters(), agents[1].q.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert agents[0].optimizer.steps == agents[1].optimizer.steps == 3


def test_other_agents_take_the_general_path(build):
    assert isinstance(build().plain, Plain)
    for settings in ({"noisy": True}, {"atoms": 5}, {"quantiles": 3}, {"munchausen": 0.9}):
        assert build(**settings).plain is None
    assert build("Catch").plain is None
    assert build(recurrent=True).plain is None


def test_a_step_that_is_not_finite_changes_no_weight_and_keeps_its_batch(build):
    agent = build(gradient_steps=2)
    for _ in range(20):
        agent.collect()
    before, batches = copy.deepcopy(agent.q.state_dict()), agent.replay.sample(2 * agent.config.batch)
    batches.reward[0, 3] = math.nan
    with pytest.raises(Diverged, match="the loss is nan"):
        agent.plain.descend(batches, agent.time)
    assert all(torch.equal(before[name], weight) for name, weight in agent.q.state_dict().items())
    assert agent.optimizer.batch.reward.shape == (1, agent.config.batch)
    np.testing.assert_array_equal(agent.optimizer.batch.reward, batches.reward[:, : agent.config.batch])
