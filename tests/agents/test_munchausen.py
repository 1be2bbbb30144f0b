"""Munchausen: the log-policy in the reward, over one step and over n steps."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from rlgen.agents.replay import Batch
from tests.agents.test_dqn import bellman, one_step, targets, transitions
from tests.agents.test_rainbow import KINDS


def munchausen(config, value, batch, here, next_out, selector):
    """Vieillard et al. 2020, eq. 2, number by number; targets (S, B) of their means."""
    tau, alpha = config.temperature, config.munchausen
    mean = [x.tolist() for x in (value.mean(here), value.mean(next_out), value.mean(selector))]

    def policy(q, action_mask):
        top = max(x for x, ok in zip(q, action_mask, strict=True) if ok)
        e = [math.exp((x - top) / tau) if ok else 0.0 for x, ok in zip(q, action_mask, strict=True)]
        return [x / sum(e) for x in e]

    result = torch.zeros(batch.reward.shape)
    for s, b in product(*map(range, batch.reward.shape)):
        q, q_next, q_choice = (x[s][b] for x in mean)
        action_mask, next_action_mask = (
            x[s, b].expand(len(q)).tolist() for x in (batch.action_mask, batch.next_action_mask)
        )
        pi = policy(q, action_mask)[batch.action[s, b]]
        bonus = alpha * max(-1.0, min(0.0, tau * math.log(pi))) if pi else -alpha
        soft = 0.0
        for p, q_a in zip(policy(q_choice, next_action_mask), q_next, strict=True):
            if p > 0:
                soft += p * (q_a - tau * math.log(p))
        result[s, b] = batch.reward[s, b] + bonus + batch.discount[s, b] * soft
    return result


@pytest.mark.parametrize("kind", ["huber", "c51", "qr"])
@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("temperature", [0.03, 1.0])
def test_the_target_of_munchausen_agrees_with_a_loop(build, kind, masks, temperature):
    wide = {**KINDS[kind], "v_min": -60.0, "v_max": 60.0, "atoms": 121} if kind == "c51" else KINDS[kind]
    agent = build(munchausen=0.9, temperature=temperature, **wide)
    shape, actions, k = (2, 20), 4, agent.value.width
    here, next_out, selector = (torch.randn(*shape, actions, k) * 2 for _ in range(3))
    action_mask, next_action_mask = (torch.rand(*shape, actions) < (0.6 if masks else 2.0) for _ in range(2))
    action = torch.randint(actions, shape)
    action_mask.scatter_(-1, action[..., None], True)
    next_action_mask[..., 0] |= ~next_action_mask.any(-1)
    ends = torch.rand(shape) < 0.3
    batch = Batch(
        here,
        action_mask,
        action,
        torch.randn(shape),
        0.9 * ~ends,
        next_out,
        next_action_mask,
        torch.ones(shape),
        action,
    )
    agent.replay.window, agent.target = lambda index: one_step(batch), lambda obs: obs
    reward = agent.munchausen_reward(batch, agent.policy(selector, batch.next_action_mask))
    y = bellman(agent, batch._replace(reward=reward), next_out, selector)
    mean = y @ agent.value.z if kind == "c51" else y.mean(-1)
    expected = munchausen(agent.config, agent.value, batch, here, next_out, selector)
    torch.testing.assert_close(mean, expected, atol=1e-4, rtol=1e-4)
    if temperature == 1.0:  # the bracket is cut at -1 for some and not for all
        last = batch._replace(discount=torch.zeros(shape))
        bonus = agent.munchausen_reward(last, torch.ones(*shape, 1)) - batch.reward
        assert bonus.min() == pytest.approx(-0.9)
        assert (bonus > -0.89).any()
        assert (bonus <= 0).all()


def test_munchausen_takes_its_reward_from_the_target_network_and_its_policy_from_the_selector(build):
    """With tables, through `learn` itself."""
    online, target = [[0.3, -0.2], [0.5, 0.1], [0.0, 0.4]], [[0.1, 0.2], [-0.3, 0.3], [0.2, 0.6]]
    batch = transitions([0, 1], [1, 0], [0.5, -1.0], [0.9, 0.0], [2, 2], states=3)
    for double, selecting in ((False, target), (True, online)):
        agent = build(double=double, munchausen=0.9, temperature=0.2)
        y = targets(agent, batch, target, online)
        out = [
            torch.tensor(t)[rows][None, ..., None]
            for t, rows in ((target, [0, 1]), (target, [2, 2]), (selecting, [2, 2]))
        ]
        torch.testing.assert_close(y, munchausen(agent.config, agent.value, batch, *out))


@pytest.mark.parametrize("double", [False, True])
def test_munchausen_with_weight_and_temperature_near_zero_is_greedy(build, double):
    batch = transitions([0, 3, 1], [0, 1, 0], [1.0, -1, 2], [0.9, 0.9, 0.0], [1, 2, 4])
    online, target = torch.randn(2, 5, 2).unbind()
    plain = targets(build(double=double), batch, target, online)
    limit = targets(build(double=double, munchausen=1e-9, temperature=1e-7), batch, target, online)
    torch.testing.assert_close(limit, plain)


# ---- n steps


def soft_return(agent, batch, b, n):
    """The target of one transition by n targets of one step in turn, along the actions taken: step by step."""
    config, replay, tau = agent.config, agent.replay, agent.config.temperature
    slot = int(batch.index[0, b])

    def log_policy(at):
        obs, mask = replay.frames.at(np.array([[at]]))
        q = agent.value.mean(agent.target(obs))[0, 0].double()
        return (q.masked_fill(~mask[0, 0], -torch.inf) / tau).log_softmax(-1)

    def entropy(log_p):
        return -sum(x.exp() * x for x in log_p if x > -torch.inf)

    def value(k):
        """The soft return from step k on."""
        at = int(replay.frames.later(np.array(slot), k))
        bonus = (tau * log_policy(at)[replay.action[at]]).clamp(-1, 0)
        total = replay.reward[at] + config.munchausen * bonus
        if replay.terminated[at]:
            return total
        if replay.done[at] or k == n - 1:
            log_p = log_policy_of(batch.next_obs[0, b], batch.next_action_mask[0, b])
            q = agent.value.mean(agent.target(batch.next_obs[:, b : b + 1]))[0, 0].double()
            soft = sum(p.exp() * x for p, x in zip(log_p, q, strict=True) if p > -torch.inf)
            return total + config.gamma * (soft + tau * entropy(log_p))
        after = int(replay.frames.later(np.array(slot), k + 1))
        return total + config.gamma * (value(k + 1) + tau * entropy(log_policy(after)))

    def log_policy_of(obs, mask):
        q = agent.value.mean(agent.target(obs[None, None]))[0, 0].double()
        return (q.masked_fill(~mask, -torch.inf) / tau).log_softmax(-1)

    return value(0)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("task", ["TestLegal", "TestChain"])
def test_munchausen_adds_its_bonus_at_every_step_of_the_window(build, task, n):
    agent = build(task, munchausen=0.9, temperature=0.5, n_step=n, gamma=0.8, num_envs=2, loss="mse")
    for _ in range(40):
        agent.collect()
    agent.target.load_state_dict({name: 3 * x + 0.1 for name, x in agent.q.state_dict().items()})
    batch, seen = agent.replay.sample(30), []
    agent.replay.sample = lambda size, beta: batch
    error = agent.value.error
    agent.value.error = lambda out, target: seen.append(target) or error(out, target)
    with torch.no_grad():
        expected = [float(soft_return(agent, batch, b, n)) for b in range(30)]
    agent.config = agent.Config(**{**vars(agent.config), "batch": 30, "gradient_steps": 1})
    agent.learn()
    np.testing.assert_allclose(seen[0][0, :, 0].numpy(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 3])
def test_munchausen_is_the_same_in_sequences(build, n):
    """The n-step targets of DRQN are those of n targets of one step in turn."""
    agent = build("TestChain", recurrent=True, munchausen=0.9, temperature=0.5, n_step=n, gamma=0.8, burn_in=0)
    for _ in range(60):
        agent.collect()
    window = agent.replay.sequences(20, agent.span)
    with torch.no_grad():
        out, _ = agent.target(window.obs, window.recurrent_state, window.is_first)
        policy = agent.policy(out[:, :, n:], window.action_mask[:, :, n:])
        reward, discount, known = agent.window_returns(window, out, policy)
    q = agent.value.mean(out)[0].double()  # (B, T + n, A)
    log_p = (q / 0.5).log_softmax(-1)
    soft = (log_p.exp() * (q - 0.5 * log_p)).sum(-1)
    entropy = -(0.5 * log_p.exp() * log_p).sum(-1)
    bonus = 0.9 * (0.5 * log_p.take_along_dim(window.action[0][..., None], -1)[..., 0]).clamp(-1, 0)
    total = reward[0] + discount[0] * (policy[0] * q[:, n:]).sum(-1)
    for b in range(20):
        for t in range(agent.config.length):
            if not known[0, b, t]:
                continue
            expected, alive = 0.0, 1.0
            for k in range(n):
                expected += (
                    0.8**k * alive * (window.reward[0, b, t + k] + bonus[b, t + k] + entropy[b, t + k] * (k > 0))
                )
                alive *= not window.done[0, b, t + k]
            expected += 0.8**n * alive * soft[b, t + n]
            assert total[b, t].item() == pytest.approx(float(expected), abs=1e-4)
