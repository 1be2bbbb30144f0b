import copy
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlgen.agents.drqn import n_step_returns
from rlgen.agents.replay import Sequences
from tests.agents.test_base import evaluate_policy
from tests.agents.test_dqn import equal, weights


def window(shape, terminate=0.1, truncate=0.1, seed=0, **more):
    """Random sequences (S, B, T) with observations (4,), two actions and a recurrent state of 16 numbers."""
    rng = torch.Generator().manual_seed(seed)
    terminated, cut = (torch.rand(shape, generator=rng) < chance for chance in (terminate, truncate))
    is_first = torch.zeros(shape, dtype=torch.bool)
    is_first[..., 1:] = (terminated | cut)[..., :-1]
    made = Sequences(
        obs=torch.randn(*shape, 4, generator=rng), action_mask=torch.ones(*shape, 1, dtype=torch.bool),
        is_first=is_first,
        action=torch.randint(2, shape, generator=rng), reward=torch.randn(shape, generator=rng), terminated=terminated,
        done=terminated | cut, recurrent_state=torch.randn(*shape[:2], 16, generator=rng),
        weight=torch.rand(shape[:2], generator=rng), index=torch.zeros(shape[:2], dtype=torch.int64),
    )  # fmt: skip
    return made._replace(**more)


def walk(window, s, b, t, n, gamma):
    """The n-step return from t, the discount of what follows, and whether that is known: step by step."""
    total = 0.0
    for k in range(n):
        total += gamma**k * window.reward[s, b, t + k].item()
        if window.terminated[s, b, t + k]:
            return total, 0.0, True
        if window.done[s, b, t + k]:
            return total, None, False
    return total, gamma**n, True


@pytest.mark.parametrize("n", [1, 3, 5])
@pytest.mark.parametrize(("terminate", "truncate"), [(0.2, 0.2), (0.0, 0.4), (0.1, 0.1), (0.0, 0.0)])
def test_n_step_returns_within_a_sequence_agree_with_a_loop(n, terminate, truncate):
    """T1, T4: none crosses the end of an episode or of the sequence; one cut off by a time limit has no loss."""
    made = window((2, 6, 12), terminate, truncate)
    reward, discount, whole = n_step_returns(made, 0.9, n)
    assert reward.shape == discount.shape == whole.shape == (2, 6, 12 - n)
    kinds = set()
    for s in range(2):
        for b in range(6):
            for t in range(12 - n):
                total, after, known = walk(made, s, b, t, n, 0.9)
                kinds.add((after, known))
                assert whole[s, b, t].item() == known
                if known:
                    assert reward[s, b, t].item() == pytest.approx(total, abs=1e-5)
                    assert discount[s, b, t].item() == pytest.approx(after)
    assert len(kinds) == 1 + bool(terminate) + bool(truncate)


def error_by_steps(agent, made):
    """Errors (S, B) and priorities (S, B, T), one window and one step at a time."""
    config = agent.config
    shape = made.reward.shape[:2]
    errors, priorities = torch.zeros(*shape, config.length), torch.zeros(*shape, config.length)

    def unroll(network, s, b):
        recurrent_state, rows = made.recurrent_state[s, b], []
        for t in range(made.obs.shape[2]):
            if made.is_first[s, b, t]:
                recurrent_state = torch.zeros_like(recurrent_state)
            out, recurrent_state = network.network(
                made.obs[s, b, t][None, None], recurrent_state[None], torch.zeros(1, 1)
            )
            recurrent_state = recurrent_state[0]
            rows.append(out[0, 0])
        return rows

    for s, b in np.ndindex(*shape):
        online, target = unroll(agent.q, s, b), unroll(agent.target, s, b)
        for t in range(config.length):
            here = config.burn_in + t
            total, after, known = walk(made, s, b, here, config.n_step, config.gamma)
            if not known:
                continue
            there = here + config.n_step
            q = agent.value.mean((online if config.double else target)[there])
            greedy = torch.eye(2)[q.argmax()]
            y = agent.value.target(torch.tensor(total), torch.tensor(after), target[there], greedy)
            out = online[here][made.action[s, b, here]]
            errors[s, b, t], priorities[s, b, t] = agent.value.error(out, y), agent.value.priority(out, y)
    return errors.mean(-1), priorities


def learn_from(agent, made):
    """The loss (S,) of these sequences and their new priorities (S, B), the weights unchanged."""
    priorities_ = []
    agent.optimizer.learning_rate = lambda time: 0.0
    agent.replay.sequences = lambda size, length, beta: made
    agent.replay.prioritize = lambda index, priority: priorities_.append(priority)
    return agent.learn()["loss"], priorities_[0] if priorities_ else None


@pytest.mark.parametrize("settings", [{}, {"double": True, "n_step": 3}, {"atoms": 7, "v_min": -3.0, "v_max": 3.0}])
@pytest.mark.parametrize("burn_in", [0, 3])
def test_the_loss_of_sequences_agrees_with_a_loop_over_steps(build, settings, burn_in):
    agent = build(recurrent=True, burn_in=burn_in, dueling=True, gamma=0.9, alpha=0.5, **settings)
    other = build(recurrent=True, seed=1, dueling=True, **settings)
    agent.target.load_state_dict(other.q.state_dict())  # two networks, not one twice
    made = window((1, 6, agent.span))
    assert made.is_first[..., 1:].any()
    learn_from(agent, made)
    with torch.no_grad():
        errors, priorities = error_by_steps(agent, made)
    for b in range(6):
        alone = made._replace(weight=torch.eye(6)[b : b + 1])
        loss, _ = learn_from(agent, alone)
        torch.testing.assert_close(6 * loss, errors[:, b])
    _, priorities_ = learn_from(agent, made)
    torch.testing.assert_close(priorities_, 0.9 * priorities.max(-1).values + 0.1 * priorities.mean(-1))


@pytest.mark.parametrize("kind", [{}, {"loss": "mse"}, {"atoms": 7, "v_min": -2.0, "v_max": 6.0}, {"quantiles": 5}])
@pytest.mark.parametrize("seeds", [1, 2])
def test_the_loss_is_weighted_per_sequence(build, kind, seeds):
    """T5: as in DQN."""
    agent = build(recurrent=True, alpha=0.5, seeds=seeds, n_step=2, **kind)
    made = window((seeds, 6, agent.span))
    loss, priority = learn_from(agent, made)
    single = [learn_from(agent, made._replace(weight=torch.eye(6)[b].expand(seeds, -1)))[0] for b in range(6)]
    error = 6 * torch.stack(single, 1)  # (S, 6)
    assert len(error.unique()) == 6 * seeds
    torch.testing.assert_close(loss, (made.weight * error).mean(1))
    assert priority.shape == (seeds, 6)


def test_the_burn_in_has_no_gradient(build):
    agent = build(recurrent=True, burn_in=3)
    made = window((1, 6, agent.span), 0, 0)
    made.obs.requires_grad_(True)
    learn_from(agent, made)
    assert not made.obs.grad[:, :, :3].any()
    assert made.obs.grad[:, :, 3:-1].any(-1).all()
    assert not made.obs.grad[:, :, -1:].any()  # for the target network alone


def test_actions_are_those_of_the_whole_episode(build):
    """Step by step with the recurrent state, as unrolled at once; each seed with its own network."""
    agent = build(
        recurrent=True, seeds=2, num_envs=2, epsilon=0.0, epsilon_end=0.0, learning_starts=10**6, buffer_size=1_000
    )
    for _ in range(40):
        agent.collect()
    frames, count = agent.replay.frames, agent.replay.count
    obs = torch.from_numpy(frames.obs[: count * 4]).view(count, 2, 2, 4).permute(1, 2, 0, 3)
    is_first = torch.from_numpy(np.equal(frames.age[: count * 4], 0)).view(count, 2, 2).permute(1, 2, 0)
    assert is_first.sum() > 8
    assert is_first[..., 0].all()
    with torch.no_grad():
        out, recurrent_state = agent.q(obs, torch.zeros(2, 2, 16), is_first)
    acted = torch.from_numpy(agent.replay.action[: count * 4]).view(count, 2, 2).permute(1, 2, 0)
    assert torch.equal(out[..., 0].argmax(-1), acted.long())
    torch.testing.assert_close(torch.from_numpy(agent.recurrent_state).view(2, 2, 16), recurrent_state)


def test_stored_recurrent_states_reproduce_the_values(build, monkeypatch):
    """With unchanged weights, a sequence from the middle of an episode has the same Q without burn-in."""
    agent, values = build(recurrent=True, burn_in=0, seeds=2, num_envs=2, learning_starts=10**6, buffer_size=1_000), []
    mean = agent.value.mean
    monkeypatch.setattr(agent.value, "mean", lambda out: values.append(mean(out).clone()) or mean(out))
    for _ in range(30):
        agent.collect()
    q = torch.stack(values).flatten(1, 2)  # (times, S * N, A)
    made = agent.replay.sequences(200, agent.span)
    with torch.no_grad():
        out, _ = agent.q(made.obs, made.recurrent_state, made.is_first)
    row, column = made.index // 4, made.index % 4
    assert made.recurrent_state[~made.is_first[..., 0]].any(-1).all()  # not all zeros
    assert (~made.is_first[..., 0]).sum() > 100
    for t in range(agent.span):
        torch.testing.assert_close(out[:, :, t, :, 0], q[row + t, column])


def test_learning_starts_with_the_first_whole_sequence(build):
    agent = build(recurrent=True, learning_starts=0, train_freq=1)
    assert agent.span == 9
    assert ["loss" in agent.step() for _ in range(12)] == [False] * 8 + [True] * 4


def test_the_smallest_replay_buffer_has_one_sequence(build):
    agent = build(recurrent=True, learning_starts=0, train_freq=1, buffer_size=9)
    assert ["loss" in agent.step() for _ in range(30)] == [False] * 8 + [True] * 22


@pytest.mark.parametrize("settings", [{}, {"alpha": 0.6, "seeds": 2}, {"num_envs": 3, "n_step": 3, "frame_stack": 2}])
def test_resume_is_exact(build, snapshot, same, settings):
    """T15: the recurrent state in the middle of an episode included."""
    whole, resumed = (build(recurrent=True, **settings) for _ in range(2))
    for _ in range(20):
        whole.step()
    assert whole.recurrent_state.any()
    assert not whole.env.is_first.all()
    resumed.step()
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    np.testing.assert_array_equal(whole.recurrent_state, resumed.recurrent_state)
    for _ in range(10):
        whole.step()
        resumed.step()
    assert same(snapshot(whole), snapshot(resumed))


def test_evaluations_change_no_training_state(build, snapshot, same):
    evaluated, control = build(recurrent=True), build(recurrent=True)
    for _ in range(10):
        evaluated.step()
        control.step()
        before = snapshot(evaluated)
        evaluated.evaluate()
        evaluated.predict(evaluated.env.obs, deterministic=False)
        assert same(before, snapshot(evaluated))
    assert same(snapshot(evaluated), snapshot(control))


def test_the_recurrent_state_advances_at_random_actions(build):
    agent = build(recurrent=True, epsilon=1.0, epsilon_end=1.0, num_envs=2)
    states = [agent.recurrent_state]
    for _ in range(3):
        agent.collect()
        states.append(agent.recurrent_state)
    assert not states[0].any()
    assert not any(np.array_equal(one, other) for one, other in pairwise(states))


def test_parallel_seeds_do_not_influence_each_other(build):
    one, other = (build(recurrent=True, seeds=2, alpha=0.5) for _ in range(2))
    for agent in (one, other):
        for _ in range(10):
            agent.collect()
    other.replay.reward.reshape(-1, 2)[:, 0] = 1e3
    for agent in (one, other):
        for _ in range(3):
            agent.learn()
    for ours, theirs in zip(weights(one.q), weights(other.q), strict=True):
        assert not torch.equal(ours[0], ours[1])
        assert not torch.equal(ours[0], theirs[0])
        torch.testing.assert_close(ours[1], theirs[1])
    assert not equal(weights(one.q), weights(one.target))


# ---- predict


@pytest.mark.parametrize("seeds", [1, 2])
def test_predictions_carry_a_state_until_an_episode_starts(build, seeds):
    """The convention of Stable-Baselines3: (actions, state), state being a tuple for the next call."""
    agent = build(recurrent=True, seeds=seeds)
    obs, is_first = torch.randn(3, 10, 4), torch.zeros(3, 10, dtype=torch.bool)
    is_first[1, 4] = is_first[:, 0] = True
    state, actions = None, []
    for t in range(10):
        action, state = agent.predict(obs[:, t].numpy(), state=state, episode_start=is_first[:, t].numpy())
        assert isinstance(state, tuple)
        assert state[0].shape == (3, 16)
        actions.append(action)
    with torch.no_grad():
        recurrent_state, x = torch.zeros(seeds, 3, 16), (y.expand(seeds, *y.shape) for y in (obs, is_first))
        x, begins = x
        out, after = agent.q(x, recurrent_state, begins)
    np.testing.assert_array_equal(np.stack(actions, 1), out[0, ..., 0].argmax(-1).numpy())
    np.testing.assert_allclose(state[0], after[0].numpy(), rtol=1e-4, atol=1e-5)


def test_one_observation_at_a_time(build):
    agent = build(recurrent=True)
    obs = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    state, together = None, None
    for one in obs:
        action, state = agent.predict(one, state=state)
        both, together = agent.predict(np.stack([one, one]), state=together)
        assert np.shape(action) == ()
        assert both.tolist() == [action, action]
    np.testing.assert_allclose(together[0], np.repeat(state[0], 2, 0), rtol=1e-5, atol=1e-6)


def test_stable_baselines3_can_evaluate_it(build):
    agent = build(recurrent=True)
    returns = evaluate_policy(agent, [gym.make("CartPole-v1") for _ in range(3)], 6)
    assert len(returns) >= 6
    assert all(score >= 8 for score in returns)
