import copy
from itertools import combinations, pairwise
from math import comb
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from rlgen.agents.actor import ActorInput
from rlgen.agents.gradients import gradients
from rlgen.agents.networks import QNetwork
from rlgen.agents.plain import Plain
from rlgen.agents.replay import Batch, Window
from rlgen.core.optim import Optimization
from rlgen.core.seeds import derive
from tests.envs import toy_environments


class Table(nn.Module):
    """Q values by hand: (S, B, states) one-hot -> (S, B, A, 1)."""

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(torch.as_tensor(values, dtype=torch.float32))  # (states, A)

    def forward(self, obs):
        return (obs @ self.values)[..., None]


def targets(agent, batch, target, online=None):
    """The Bellman targets (S, B) of a batch, with tables for the target and the online network."""
    plain, agent.plain = agent.plain, None
    agent.q, agent.target = Table(target if online is None else online), Table(target)
    agent.optimizer = Optimization(agent.config, agent.q)
    agent.online, agent.fixed = gradients(agent.q), gradients(agent.target)
    agent.optimizer.learning_rate = lambda time: 0.0
    agent.replay.sample, sample = lambda size, beta: batch, agent.replay.sample
    agent.replay.window = lambda index: one_step(batch)
    agent.value.error, error, seen = lambda out, y: seen.append(y) or error(out, y), agent.value.error, []
    try:
        agent.learn()
    finally:
        agent.replay.sample, agent.value.error = sample, error
    found = torch.cat(seen, 1).squeeze(-1)
    if plain is not None:
        torch.testing.assert_close(plain_targets(agent, batch), found)
    return found


def plain_targets(agent, batch):
    """The targets (S, B) of the gradient steps in numpy."""

    def arrays(table):
        return SimpleNamespace(
            forward=lambda obs: table(torch.tensor(obs)).detach().numpy(), backward=lambda slope: None
        )

    plain, seen = Plain(agent.config, arrays(agent.q), arrays(agent.target), agent.optimizer), []
    loss = plain.loss
    plain.loss = lambda error: seen.append(torch.from_numpy(error)) or loss(error)
    plain.descend(batch, 0)
    return agent.q(batch.obs).squeeze(-1).take_along_dim(batch.action[..., None], -1).squeeze(-1) - torch.cat(seen, 1)


def one_step(batch):
    """The steps of a batch of one-step transitions."""
    columns = (x.unsqueeze(2) for x in (batch.obs, batch.action_mask, batch.action))
    return Window(*columns, torch.ones(*batch.reward.shape, 1))


def transitions(obs, action, reward, discount, next_obs, states=5):
    """A batch (1, B) between numbered states."""
    eye, number, every = torch.eye(states), torch.tensor, torch.ones(1, len(action), 1, dtype=torch.bool)
    return Batch(
        eye[obs][None], every, number([action]), number([reward]), number([discount]), eye[next_obs][None], every,
        torch.ones(1, len(action)), torch.zeros(1, len(action), dtype=torch.int64),
    )  # fmt: skip


def bellman(agent, batch, next_out, selector):
    """The targets (S, B, K) from the outputs of the target network and of the selector for s'."""
    policy = agent.policy(selector, batch.next_action_mask)
    return agent.value.target(batch.reward, batch.discount, next_out, policy)


def act(agent):
    return agent.act(agent.inputs())


def greedy(agent, obs):
    return agent.greedy(ActorInput(obs, np.ones((len(obs), 1), bool), None, np.zeros(len(obs), bool)))[0]


def weights(module):
    return [value.clone() for value in module.state_dict().values()]


def equal(one, other):
    return all(map(torch.equal, one, other))


# ---- stored transitions


@pytest.mark.parametrize(
    ("world", "bootstraps"), [("TestTruncated", True), ("TestTerminated", False), ("TestBoth", False)]
)
def test_a_time_limit_is_bootstrapped_and_a_termination_is_not(build, world, bootstraps):
    agent = build(world, gamma=0.9)
    for _ in range(5):
        agent.collect()
    batch = agent.replay.sample(200)
    y = targets(agent, batch, torch.full((5, 2), 7.0))[0]
    last = batch.obs[0].argmax(-1) == 4
    assert last.any()
    torch.testing.assert_close(y[~last], torch.full_like(y[~last], 1 + 0.9 * 7))
    torch.testing.assert_close(y[last], torch.full_like(y[last], 1 + 0.9 * 7 if bootstraps else 1))


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("num_envs", [1, 4])
@pytest.mark.parametrize("world", ["TestTruncated", "TestEndless", "TestTerminated", "TestBoth"])
def test_the_fixed_point_is_the_value(build, world, num_envs, n_step):
    """1 / (1 - γ), or the rest of 1 + γ + γ² + γ³ + γ⁴ where the episode terminates."""
    agent = build(world, gamma=0.9, num_envs=num_envs, n_step=n_step)
    for _ in range(60):
        agent.collect()
    table = torch.zeros(5, 2)
    for _ in range(140):
        batch = agent.replay.sample(100)
        after = (batch.next_obs @ table)[..., None]
        table[batch.obs[0].argmax(-1), batch.action[0]] = bellman(agent, batch, after, after)[0, :, 0]
    left = torch.arange(5, 0, -1)
    value = (1 - 0.9**left) / 0.1 if world in ("TestTerminated", "TestBoth") else torch.full((5,), 10.0)
    torch.testing.assert_close(table, value[:, None].expand(5, 2), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("num_envs", "seeds"), [(1, 1), (3, 1), (2, 2)])
def test_every_transition_is_stored_once(build, monkeypatch, num_envs, seeds):
    monkeypatch.setattr(toy_environments.Counting, "finished", finished := [])
    agent = build("TestCounting", num_envs=num_envs, seeds=seeds, buffer_size=10_000, train_freq=5)
    for _ in range(40):
        agent.collect()
    replay, stored = agent.replay, agent.replay.count * num_envs * seeds
    assert len(np.unique(replay.frames.obs[:stored], axis=0)) == stored
    batch = replay.sample(5_000)
    assert len(batch.index.unique()) == stored
    obs, next_obs = batch.obs[batch.discount > 0], batch.next_obs[batch.discount > 0]
    assert torch.equal(next_obs[:, 0], obs[:, 0])
    assert torch.equal(next_obs[:, 1], obs[:, 1] + 1)
    assert agent.time == replay.count * num_envs >= 200
    assert stored == sum(length for _, length in finished) + int(agent.env.obs[:, 1].sum())
    assert replay.done[:stored].sum() == len(finished) > 20
    assert sorted(score for scores in agent.returns for score in scores) == sorted(value for value, _ in finished)


@pytest.mark.parametrize(("num_envs", "seeds"), [(1, 1), (3, 1), (2, 2)])
def test_finished_episodes_are_logged_with_time_return_and_length(build, monkeypatch, num_envs, seeds):
    monkeypatch.setattr(toy_environments.Counting, "finished", finished := [])
    agent, rows = build("TestCounting", num_envs=num_envs, seeds=seeds, buffer_size=10_000, train_freq=6), []
    for _ in range(40):
        before = agent.time
        new = agent.collect().get("episodes", [])
        assert all(before < row["time"] <= agent.time for row in new)
        rows += new
    assert sorted((row["return"], row["length"]) for row in rows) == sorted(finished)
    assert {row["seed"] for row in rows} == set(range(seeds))
    if num_envs == 1:  # episodes lie end to end
        assert [row["time"] for row in rows] == np.cumsum([row["length"] for row in rows]).tolist()


def test_evaluations_have_their_standard_error(build):
    agent = build("CartPole-v1", seeds=2, eval_episodes=5)
    returns = agent.rollout(5, derive(agent.seed, "evaluation"))
    metrics = agent.evaluate()
    assert metrics["eval_return"].tolist() == returns.mean(1).tolist()
    expected = [np.std(seed, ddof=1) / 5**0.5 for seed in returns]
    assert metrics["eval_return_se"].tolist() == pytest.approx(expected)
    assert "eval_return_se" not in build("CartPole-v1", eval_episodes=1).evaluate()


def test_the_return_is_the_sum_and_count_of_finished_episodes(build, monkeypatch):
    monkeypatch.setattr(toy_environments.Counting, "finished", finished := [])
    agent, without = build("TestCounting", num_envs=2, train_freq=2), 0
    for _ in range(150):
        before = len(finished)
        metrics = agent.collect()
        ended = [value for value, _ in finished[before:]]
        assert ("return" in metrics) == bool(ended)
        without += not ended
        if ended:
            assert metrics["return"].flatten().tolist() == pytest.approx([sum(ended), len(ended)])
            assert metrics["return_100"] == pytest.approx(np.mean([value for value, _ in finished[-100:]]))
    assert 0 < without < 150
    assert len(finished) > 60


def test_the_return_includes_every_step_of_an_update(build, monkeypatch):
    """An environment may end several episodes between two updates."""
    monkeypatch.setattr(toy_environments.Counting, "finished", finished := [])
    agent = build("TestCounting", train_freq=30)
    for _ in range(5):
        before = len(finished)
        metrics = agent.collect()
        ended = [value for value, _ in finished[before:]]
        assert metrics["return"][:, 0].tolist() == pytest.approx([sum(ended), len(ended)])


# ---- the Bellman target


def test_double_q_learning_selects_with_the_online_network_and_evaluates_with_the_target_network(build):
    online = [[0.0, 0], [5, 1], [0, 3], [2, 9], [0, 0]]
    target = [[0.0, 0], [-2, 8], [4, -6], [7, 1], [0, 0]]
    batch = transitions([0, 0, 0, 0], [0, 1, 0, 1], [1.0, 1, 1, 1], [0.5, 0.5, 0.5, 0.0], [1, 2, 3, 1])
    plain = targets(build("TestTruncated"), batch, target, online)
    double = targets(build("TestTruncated", double=True), batch, target, online)
    assert plain.tolist() == [[1 + 0.5 * 8, 1 + 0.5 * 4, 1 + 0.5 * 7, 1]]
    assert double.tolist() == [[1 + 0.5 * -2, 1 + 0.5 * -6, 1 + 0.5 * 1, 1]]


@pytest.mark.parametrize("double", [False, True])
def test_the_gradient_reaches_the_value_of_the_action_taken_alone(build, double):
    """T7: neither the target nor the selector has a gradient."""
    agent = build("TestTruncated", double=double, loss="mse")
    batch, online = (
        transitions([0, 3], [1, 0], [0.5, -1.0], [0.5, 0.0], [4, 4]),
        [[1.0, 2], [3, 4], [5, 6], [7, 8], [9, 10]],
    )
    y = targets(agent, batch, torch.full((5, 2), 2.0), online)
    assert y.tolist() == [[1.5, -1]]
    assert agent.q.values.grad.nonzero().tolist() == [[0, 1], [3, 0]]
    torch.testing.assert_close(agent.q.values.grad[0, 1], torch.tensor((2 - 1.5) * 2 / 2))  # mean of two squares
    torch.testing.assert_close(agent.q.values.grad[3, 0], torch.tensor((7 + 1.0) * 2 / 2))


def test_every_gradient_step_has_a_batch_of_its_own(build, monkeypatch):
    agent, seen = build(gradient_steps=5, batch=7), []
    for _ in range(10):
        agent.collect()

    def target_values(burst, original=agent.with_targets):
        for batch, out in original(burst):
            seen.append((weights(agent.q), batch))
            yield batch, out

    monkeypatch.setattr(agent, "plain", None)
    monkeypatch.setattr(agent, "with_targets", target_values)
    target = weights(agent.target)
    agent.learn()
    assert len(seen) == 5
    assert {tuple(batch.reward.shape) for _, batch in seen} == {(1, 7)}
    for (one, batch), (other, batch_) in pairwise(seen):
        assert not equal(one, other)
        assert not torch.equal(batch.obs, batch_.obs)
    assert equal(target, weights(agent.target))


# ---- the start of learning


@pytest.mark.parametrize(("learning_starts", "num_envs"), [(20, 1), (21, 1), (0, 1), (20, 3)])
def test_learning_starts_after_learning_starts_steps(build, learning_starts, num_envs):
    agent = build(learning_starts=learning_starts, num_envs=num_envs, target_update_interval=1000)
    before = weights(agent.q)
    while True:
        metrics = agent.step()
        learned = not equal(before, weights(agent.q))
        assert learned == ("loss" in metrics) == (agent.time >= learning_starts)
        if learned:
            break
    assert agent.time < learning_starts + 4 + num_envs


def test_learning_waits_for_a_whole_window(build):
    agent = build(learning_starts=0, train_freq=1, n_step=5)
    assert ["loss" in agent.step() for _ in range(8)] == [False] * 4 + [True] * 4


@pytest.mark.parametrize(("train_freq", "num_envs", "each"), [(4, 1, 4), (4, 2, 4), (4, 3, 6), (1, 5, 5), (10, 4, 12)])
def test_time_counts_the_steps_of_all_environments(build, train_freq, num_envs, each):
    agent = build("TestCounting", train_freq=train_freq, num_envs=num_envs)
    for burst in range(1, 6):
        agent.step()
        assert agent.time == agent.replay.count * num_envs == burst * each


# ---- the target network

CROSSINGS = [  # target_update_interval, train_freq, num_envs: rarely, at each update, several times in one
    (20, 4, 1), (4, 4, 1), (10, 4, 1), (3, 4, 1), (1, 4, 1), (10, 1, 3), (10, 5, 3), (7, 4, 8), (100, 4, 2),
]  # fmt: skip


@pytest.mark.parametrize(("target_update_interval", "train_freq", "num_envs"), CROSSINGS)
@pytest.mark.parametrize("tau", [1.0, 0.1])
@pytest.mark.parametrize("seeds", [1, 2])
def test_the_target_network_is_updated_by_environment_steps(
    build, seeds, tau, target_update_interval, train_freq, num_envs
):
    agent = build(
        "TestCounting",
        seeds=seeds,
        tau=tau,
        target_update_interval=target_update_interval,
        train_freq=train_freq,
        num_envs=num_envs,
    )
    expected, synced = weights(agent.target), 0
    assert equal(expected, weights(agent.q))
    for _ in range(30):
        with torch.no_grad():
            for parameter in agent.q.parameters():
                parameter.add_(torch.randn_like(parameter))
        before = agent.time
        agent.collect()
        online, now = weights(agent.q), weights(agent.target)
        times = sum(step % target_update_interval == 0 for step in range(before + 1, agent.time + 1))
        synced += times
        expected = [q + (1 - tau) ** times * (old - q) for old, q in zip(expected, online, strict=True)]
        if tau == 1:
            assert equal(now, online) == bool(times)
            expected = online if times else now
        for ours, theirs in zip(now, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert synced == agent.time // target_update_interval > 0


def test_the_target_network_is_constant_between_its_updates(build):
    agent, copies = build(learning_starts=0, target_update_interval=20), 0
    for _ in range(25):
        before = weights(agent.target)
        agent.step()
        assert not equal(weights(agent.q), weights(agent.target))
        copies += not equal(before, weights(agent.target))
    assert copies == 100 // 20


def test_the_time_of_the_next_target_update_is_resumed(build):
    agent = build(target_update_interval=20, learning_starts=0)
    for _ in range(3):  # 12 steps
        agent.step()
    resumed = build(target_update_interval=20, learning_starts=0, seed=0)
    resumed.load_state_dict(copy.deepcopy(agent.state_dict()))
    for now in (16, 20, 24):
        before = weights(resumed.target)
        resumed.step()
        assert resumed.time == now
        assert equal(before, weights(resumed.target)) == (now != 20)


@pytest.mark.parametrize("tau", [1.0, 0.5])
@pytest.mark.parametrize("seeds", [1, 2])
def test_buffers_are_copied_into_the_target_network_too(build, monkeypatch, tau, seeds):
    def network(agent):
        q = QNetwork(agent.env.shape, agent.env.num_actions, 1, agent.config)
        q.register_buffer("mean", torch.zeros(3))
        q.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        return q

    monkeypatch.setattr("rlgen.agents.dqn.DQN.network", network)
    agent = build(tau=tau, seeds=seeds)
    for buffer in agent.q.buffers():
        buffer += 4
    agent.collect()
    assert not any(buffer.any() for buffer in agent.target.buffers())
    for _ in range(4):
        agent.collect()
    assert sorted({buffer.max().item() for buffer in agent.target.buffers()}) == sorted({4, 4 * tau})


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_optimizer_has_the_weights_of_the_online_network_alone(build, seeds):
    agent = build(seeds=seeds)
    held = [id(p) for group in agent.optimizer.rule.param_groups for p in group["params"]]
    assert held == [id(p) for p in agent.q.parameters()]
    assert not any(p.requires_grad for p in agent.target.parameters())
    assert not {p.data_ptr() for p in agent.q.parameters()} & {p.data_ptr() for p in agent.target.parameters()}
    assert agent.parameter_count() == sum(p.numel() for p in agent.q.parameters())


# ---- exploration


@pytest.mark.parametrize("time", [0, 25, 50, 100, 101, 10_000])
def test_epsilon_is_a_linear_schedule(build, time):
    agent = build(epsilon=0.9, epsilon_end=0.1, epsilon_steps=100)
    agent.time = time
    assert agent.epsilon == pytest.approx({0: 0.9, 25: 0.7, 50: 0.5}.get(time, 0.1))


def test_epsilon_continues_after_a_resume_and_counts_the_steps_of_all_environments(build):
    agent = build(epsilon_steps=100, epsilon_end=0.0, num_envs=5, train_freq=10)
    agent.collect()
    agent.collect()
    assert agent.epsilon == pytest.approx(0.8)
    resumed = build(epsilon_steps=100, epsilon_end=0.0, num_envs=5, train_freq=10)
    resumed.load_state_dict(copy.deepcopy(agent.state_dict()))
    assert resumed.epsilon == agent.epsilon
    resumed.collect()
    assert resumed.epsilon == pytest.approx(0.7)


def test_environments_explore_independently(build, monkeypatch):
    """The number of random actions among 6 is binomial."""
    agent, size, p = build(num_envs=3, seeds=2, epsilon=0.3, epsilon_end=0.3), 4_000, 0.3
    monkeypatch.setattr(agent, "greedy", lambda inputs: (np.full(len(inputs.obs), -1), None))
    acted = np.stack([act(agent)[0] for _ in range(size)]) >= 0  # (size, 6)
    counts = np.bincount(acted.sum(1), minlength=7)
    expected = np.array([size * comb(6, k) * p**k * (1 - p) ** (6 - k) for k in range(7)])
    assert ((counts - expected) ** 2 / expected).sum() < 22.5  # chi-square of 6 degrees, one in a thousand
    np.testing.assert_allclose(acted.mean(0), p, atol=4 * (p * (1 - p) / size) ** 0.5)


@pytest.mark.parametrize("epsilon", [0.5, 1.0])
def test_random_actions_are_uniform(build, monkeypatch, epsilon):
    agent, size = build("TestCounting", num_envs=2, epsilon=epsilon, epsilon_end=epsilon), 3_000
    monkeypatch.setattr(agent, "greedy", lambda inputs: (np.full(len(inputs.obs), -1), None))
    acted = np.concatenate([act(agent)[0] for _ in range(size)])
    counts = np.bincount(acted[acted >= 0], minlength=3)
    assert len(counts) == 3
    expected = counts.sum() / 3
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # chi-square of 2 degrees, one in a thousand


def test_without_exploration_every_action_is_greedy(build):
    agent = build(epsilon=0.0, epsilon_end=0.0, num_envs=4)
    for _ in range(20):
        obs = agent.env.obs
        with torch.no_grad():
            best = agent.q(torch.from_numpy(obs)[None])[0, :, :, 0].argmax(1).numpy()
        np.testing.assert_array_equal(act(agent)[0], best)
        agent.collect()


@pytest.mark.parametrize("num_envs", [1, 3])
def test_each_seed_acts_by_its_own_network(build, num_envs):
    agent = build(seeds=3, num_envs=num_envs)
    obs = np.random.default_rng(0).normal(size=(3 * num_envs, 4)).astype(np.float32)
    best = []
    for s in range(3):
        alone = QNetwork((4,), 2, 1, agent.config)
        alone.load_state_dict({name: value[s] for name, value in agent.q.network.named_parameters()})
        best += alone(torch.from_numpy(obs[s * num_envs : (s + 1) * num_envs]))[..., 0].argmax(1).tolist()
    assert greedy(agent, obs).tolist() == best


# ---- seeds and random streams


@pytest.mark.parametrize("settings", [{}, {"num_envs": 3, "n_step": 3, "double": True}, {"seeds": 2, "tau": 0.1}])
def test_the_seed_determines_everything(build, snapshot, same, settings):
    one, twin, other = build(**settings), None, build(seed=1, **settings)
    torch.rand(3)
    np.random.rand(3)  # noqa: NPY002  # global streams, which an agent must not use
    twin = build(**settings)
    start, elsewhere = weights(one.q), weights(other.q)
    for _ in range(25):
        one.step()
        torch.rand(1)
        twin.step()
        other.step()
    assert same(snapshot(one), snapshot(twin))
    assert not any(map(torch.equal, start, elsewhere))
    assert not np.array_equal(one.replay.frames.obs, other.replay.frames.obs)
    assert not np.array_equal(one.replay.action, other.replay.action)


def test_making_an_agent_leaves_the_global_streams_unchanged(build):
    torch.manual_seed(7)
    before, before_ = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    build(seeds=2).step()
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(before_, np.random.get_state()[1])  # noqa: NPY002


def test_parallel_seeds_differ_in_everything(build):
    agent = build(seeds=3, num_envs=2, buffer_size=100)
    at_birth = weights(agent.q)
    for _ in range(25):
        agent.step()
    columns = {"obs": agent.replay.frames.obs, "action": agent.replay.action}
    replay = {name: x[: 50 * 6].reshape(50, 3, 2, -1) for name, x in columns.items()}
    for s, z in combinations(range(3), 2):
        for stack in (at_birth, weights(agent.q)):
            assert not any(torch.equal(x[s], x[z]) for x in stack)
        for x in replay.values():
            assert not np.array_equal(x[:, s], x[:, z])
    assert not np.array_equal(replay["obs"][:, 0, 0], replay["obs"][:, 0, 1])  # nor do environments of one seed


def test_seeds_do_not_influence_each_other(build):
    one, other = build(seeds=3), build(seeds=3)
    for agent in (one, other):
        for _ in range(25):
            agent.collect()
    other.replay.reward.reshape(-1, 3)[:, 0] = 1e6  # beyond the bound on the gradient, too
    for agent in (one, other):
        for _ in range(5):
            metrics = agent.learn()
            assert metrics["gradient_norm"].shape == (3,)
    for ours, theirs in zip(weights(one.q), weights(other.q), strict=True):
        assert not torch.equal(ours[0], theirs[0])
        torch.testing.assert_close(ours[1:], theirs[1:])


@pytest.mark.parametrize("settings", [{}, {"seeds": 2, "num_envs": 2}])
@pytest.mark.parametrize("task", ["CartPole", "FrozenLake"])
def test_evaluations_change_no_training_state(build, snapshot, same, task, settings):
    evaluated, control = build(task, **settings), build(task, **settings)
    for _ in range(12):
        evaluated.step()
        control.step()
        before, streams = snapshot(evaluated), (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002
        evaluated.evaluate()
        evaluated.rollout(2, seed=5)
        evaluated.predict(evaluated.env.obs)
        evaluated.predict(evaluated.env.obs, deterministic=False)
        assert same(before, snapshot(evaluated))
        assert torch.equal(streams[0], torch.get_rng_state())
        assert np.array_equal(streams[1], np.random.get_state()[1])  # noqa: NPY002
    assert same(snapshot(evaluated), snapshot(control))


@pytest.mark.parametrize("seeds", [1, 2])
def test_an_evaluation_depends_on_weights_and_seed_alone(build, seeds):
    agent = build(seeds=seeds)
    first = agent.evaluate()
    assert first["eval_return"].shape == (seeds,)
    for _ in range(3):
        agent.collect()
    assert torch.equal(agent.evaluate()["eval_return"], first["eval_return"])
    twin = build(seeds=seeds)
    assert torch.equal(twin.evaluate()["eval_return"], first["eval_return"])
    returns = agent.rollout(50, seed=1)
    assert returns.shape == (seeds, 50)
    assert not np.array_equal(returns, agent.rollout(50, seed=2))


def test_rollouts_have_the_returns_of_greedy_episodes(build):
    agent = build("TestChain", seeds=2)
    for name, value in agent.q.network.named_parameters():
        value.data.fill_(float(name.endswith("0.bias")))
    one_right_one_left = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    agent.q.weight("head.advantage.2.bias").data.copy_(one_right_one_left)
    np.testing.assert_array_equal(agent.rollout(6, seed=0), [[1] * 6, [0] * 6])


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("CartPole", {}),
        ("CartPole", {"num_envs": 3, "n_step": 3}),
        ("FrozenLake", {"seeds": 2}),
        ("Acrobot", {"tau": 0.5}),
    ],
)
@pytest.mark.parametrize("before", [0, 3, 30])
def test_resume_is_exact(build, snapshot, same, task, settings, before):
    whole, resumed = build(task, **settings), build(task, **settings)
    for _ in range(before):
        whole.step()
    resumed.step()  # a different state before the load
    state = {path: value for path, value in snapshot(whole).items() if isinstance(value, torch.Tensor)}
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for path, value in state.items():
        assert torch.equal(value, snapshot(whole)[path]), path
    for _ in range(15):
        whole.step()
        resumed.step()
    assert same(snapshot(whole), snapshot(resumed))
    obs = whole.env.obs
    np.testing.assert_array_equal(greedy(whole, obs), greedy(resumed, obs))  # also in numpy


# ---- images


@pytest.mark.parametrize("settings", [{}, {"seeds": 2, "frame_stack": 3, "atoms": 5}])
def test_a_network_learns_from_images(build, settings):
    agent = build("TestImage", **settings)
    assert agent.env.shape[1:] == (4, 4)
    assert agent.env.scale == 255
    before = weights(agent.q)
    for _ in range(8):
        metrics = agent.step()
    assert metrics["loss"].isfinite().all()
    assert not any(map(torch.equal, before, weights(agent.q)))


def test_a_plateau_of_scores_lowers_the_learning_rate(build):
    agent = build(schedule="plateau", lr=1e-2, lr_patience=2)
    for score in (3.0, 5.0, 4.0):
        agent.scored(score)
    assert agent.optimizer.learning_rate(0) == 1e-2
    agent.scored(5.0)
    assert agent.optimizer.learning_rate(0) == pytest.approx(1e-3)
