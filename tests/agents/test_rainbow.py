"""The six improvements of Rainbow, one by one."""

import copy
from itertools import combinations

import numpy as np
import pytest
import torch

from rlgen.agents.actor import ActorInput
from rlgen.agents.gradients import gradients
from rlgen.agents.noise import zero_noise
from rlgen.agents.replay import Batch
from tests.agents.tasks import LEGAL
from tests.agents.test_dqn import Table, act, bellman, equal, targets, transitions, weights

KINDS = {
    "huber": {}, "mse": {"loss": "mse"}, "c51": {"atoms": 7, "v_min": -2.0, "v_max": 6.0}, "qr": {"quantiles": 5},
}  # fmt: skip


def weighted_batch(agent, size=8):
    """A batch with random importance weights."""
    for _ in range(20):
        agent.collect()
    batch = agent.replay.sample(size)
    return batch._replace(weight=torch.rand(batch.weight.shape))


def learn(agent, batch):
    """The loss of this batch, (S,), with every weight and stream unchanged."""
    stream, agent.replay.sample, sample = agent.noise.get_state(), lambda size, beta: batch, agent.replay.sample
    agent.optimizer.learning_rate = lambda time: 0.0
    prioritize, agent.replay.prioritize = agent.replay.prioritize, lambda index, priority: None
    try:
        return agent.learn()["loss"]
    finally:
        agent.replay.sample, agent.replay.prioritize = sample, prioritize
        agent.noise.set_state(stream)


# ---- losses and weights


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("more", [{}, {"double": True, "alpha": 0.5}, {"munchausen": 0.9, "noisy": True}])
def test_the_loss_is_weighted_per_transition(build, kind, seeds, more):
    """T5, T14: in every branch the loss is the mean over B of weight times error, and no (B, B) of them."""
    agent = build(seeds=seeds, **KINDS[kind], **more)
    agent.q.load_state_dict({name: value + 0.1 for name, value in agent.q.state_dict().items()})
    batch = weighted_batch(agent)
    before = weights(agent.q)
    singles = []
    for b in range(8):
        one = Batch(*(x[:, b : b + 1] for x in batch))._replace(weight=torch.ones(seeds, 1))
        singles.append(learn(agent, one))
    singles = torch.stack(singles, 1)
    assert singles.shape == (seeds, 8)
    assert len(singles.unique()) > 6
    loss = learn(agent, batch)
    assert loss.shape == (seeds,)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, (batch.weight * singles).mean(1))
    assert equal(before, weights(agent.q))


@pytest.mark.parametrize("kind", KINDS)
def test_importance_weights_scale_the_gradient(build, kind):
    agent = build(**KINDS[kind])
    batch = weighted_batch(agent)

    def gradient(weight):
        learn(agent, batch._replace(weight=torch.tensor([weight])))
        return torch.cat([p.grad.flatten() for p in agent.q.parameters()])

    whole = gradient([0.5, 1.0, 0, 0, 0, 0, 0, 0.25])
    parts = [gradient(np.eye(8)[b].astype(np.float32).tolist()) for b in (0, 1, 7)]
    torch.testing.assert_close(whole, 0.5 * parts[0] + parts[1] + 0.25 * parts[2])


@pytest.mark.parametrize("kind", KINDS)
def test_priorities_are_the_unweighted_errors_of_the_transitions(build, monkeypatch, kind):
    """T5: not squared, not weighted, not negative; set once for all batches of an update."""
    agent, calls = build(alpha=0.5, n_step=3, gradient_steps=3, lr=1e-12, **KINDS[kind]), []
    batch = weighted_batch(agent, 24)
    monkeypatch.setattr(agent.replay, "sample", lambda size, beta: batch)
    monkeypatch.setattr(agent.replay, "prioritize", lambda index, priority: calls.append((index, priority)))
    agent.learn()
    ((index, priority),) = calls
    assert torch.equal(index, batch.index)
    assert priority.shape == (1, 24)
    assert not priority.requires_grad
    with torch.no_grad():
        out = agent.q(batch.obs).take_along_dim(batch.action[..., None, None], 2).squeeze(2)
        next_out = agent.target(batch.next_obs)
        y = bellman(agent, batch, next_out, next_out)
    torch.testing.assert_close(priority, agent.value.priority(out, y), atol=1e-5, rtol=1e-4)
    if kind in ("huber", "mse"):
        torch.testing.assert_close(priority, (y - out).abs()[..., 0], atol=1e-5, rtol=1e-4)


def test_beta_is_a_linear_schedule(build):
    agent, asked = build(alpha=0.5, beta=0.4, beta_steps=100, train_freq=10, learning_starts=0, batch=4), []
    sample = agent.replay.sample
    agent.replay.sample = lambda size, beta: asked.append(beta) or sample(size, beta)
    for _ in range(12):
        agent.step()
    expected = [0.4 + 0.6 * min(step / 100, 1) for step in range(10, 130, 10)]
    assert asked == pytest.approx(expected)


def test_the_learning_rate_is_a_linear_schedule(build):
    for recurrent in (False, True):
        course = {"schedule": "linear", "lr_end": 1e-3, "lr_steps": 80}
        agent = build(recurrent=recurrent, lr=1e-2, learning_starts=0, train_freq=20, **course)
        rates = [agent.optimizer.rule.param_groups[0]["lr"] for _ in range(6) if "loss" in agent.step()]
        assert rates == pytest.approx([0.01 - 0.009 * min(step / 80, 1) for step in range(20, 140, 20)])
    agent = build(lr=1e-2, learning_starts=0)
    agent.step()
    assert agent.optimizer.rule.param_groups[0]["lr"] == 1e-2


# ---- double, masks


def masked(batch, next_action_mask):
    return batch._replace(next_action_mask=torch.tensor([next_action_mask]))


def test_the_maximum_of_the_target_is_over_allowed_actions(build):
    """T7: three actions, the best of which is masked."""
    table = [[0.0, 0, 0], [1, 5, 9], [3, -2, -4]]
    batch = transitions([0, 0, 0], [0, 0, 0], [1.0, 1, 1], [0.5, 0.5, 0.5], [1, 1, 2], states=3)
    batch = masked(batch, [[True, True, False], [True, False, False], [False, True, True]])
    assert targets(build(), batch, table).tolist() == [[1 + 0.5 * 5, 1 + 0.5 * 1, 1 + 0.5 * -2]]


def test_the_selector_of_double_q_learning_is_masked(build):
    """T7: both networks prefer an action that is masked."""
    online, target = [[0.0, 0, 0], [4, 5, 9]], [[0.0, 0, 0], [7, -3, 100]]
    batch = transitions([0, 0, 0], [0, 0, 0], [0.0, 0, 0], [1.0, 1, 1], [1, 1, 1], states=2)
    batch = masked(batch, [[True, True, False], [True, False, False], [True, True, True]])
    assert targets(build(double=True), batch, target, online).tolist() == [[-3, 7, 100]]


@pytest.mark.parametrize("double", [False, True])
def test_munchausen_is_masked(build, double):
    """T7: masked actions have no part in the policy, its value, or its entropy."""
    agent = build(double=double, munchausen=0.9, temperature=0.5)
    table = [[0.0, 0, 0], [4, 5, 9]]
    batch = transitions([1, 1], [0, 1], [0.0, 0.0], [1.0, 1.0], [1, 1], states=2)
    action_mask = torch.tensor([[[True, True, False], [True, True, False]]])
    full = targets(agent, batch._replace(action_mask=action_mask, next_action_mask=action_mask), table)
    two = targets(agent, batch, [row[:2] for row in table])  # as if there were only two actions
    torch.testing.assert_close(full, two)


@pytest.mark.parametrize("settings", [{}, {"double": True}, {"munchausen": 0.9}, {"noisy": True}, {"seeds": 2}])
def test_only_allowed_actions_are_ever_taken(build, settings):
    """The environment asserts it: random, greedy and noisy, in training and in evaluation."""
    agent = build("TestLegal", num_envs=3, learning_starts=10, epsilon_steps=100, **settings)
    for _ in range(40):
        agent.step()
    assert agent.evaluate()["eval_return"].isfinite().all()
    batch = agent.replay.sample(400)
    place, after = batch.obs.argmax(-1), batch.next_obs.argmax(-1)
    assert (torch.from_numpy(LEGAL)[place] == batch.action_mask).all()
    assert batch.action_mask.take_along_dim(batch.action[..., None], -1).all()
    alive = batch.discount > 0
    assert (torch.from_numpy(LEGAL)[after[alive]] == batch.next_action_mask[alive]).all()


def test_random_actions_are_uniform_over_allowed_actions(build):
    agent, size = build("TestLegal", num_envs=4), 3_000
    action_mask = LEGAL[[0, 1, 2, 3]]
    drawn = np.stack([agent.random_action(action_mask) for _ in range(size)])
    for env_index in range(4):
        counts = np.bincount(drawn[:, env_index], minlength=5)
        assert not counts[~action_mask[env_index]].any()
        expected = size / action_mask[env_index].sum()
        assert (
            (counts[action_mask[env_index]] - expected) ** 2 / expected
        ).sum() < 18.5  # chi-square of 4, one in a thousand


def test_the_greedy_action_is_the_best_allowed_one(build):
    agent = build("TestLegal")
    agent.plain, agent.q = None, Table([[5.0, 9, 9, 6, 9]] * 4)
    agent.online = gradients(agent.q)
    obs, start = np.eye(4, dtype=np.float32), np.ones(4, bool)
    assert agent.greedy(ActorInput(obs, LEGAL, None, start))[0].tolist() == [3, 1, 1, 1]
    assert agent.predict(np.arange(4), action_mask=LEGAL)[0].tolist() == [3, 1, 1, 1]
    assert agent.predict(0, action_mask=LEGAL[0])[0] == 3
    assert agent.predict(0)[0] == 1
    many = agent.predict(np.zeros(500, int), action_mask=np.repeat(LEGAL[:1], 500, 0), deterministic=False)[0]
    assert set(many.tolist()) == {0, 3}


# ---- noise


def test_noise_is_drawn_anew_for_every_gradient_step_network_and_action(build):
    """T14."""
    agent, seen = build(noisy=True, gradient_steps=3, seeds=2), []

    def noise(network):
        return torch.cat([x.flatten() for name, x in network.named_buffers() if "noise" in name])

    for _ in range(20):
        agent.collect()
    with_targets = agent.with_targets

    def recording(batches):
        for batch, out in with_targets(batches):
            assert batch.reward.shape == (2, 8)
            with torch.no_grad():
                torch.testing.assert_close(out, agent.target(batch.next_obs))  # with the current noise
            seen.extend([noise(agent.q), noise(agent.target)])
            yield batch, out

    agent.with_targets = recording
    agent.learn()
    for _ in range(3):
        act(agent)
        seen.append(noise(agent.q))
    assert len(seen) == 9
    for one, other in combinations(seen, 2):
        assert (one != other).all()


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("recurrent", [False, True])
def test_evaluations_have_no_noise(build, seeds, recurrent):
    """T14: evaluations and predictions use the means of the weights, in every call."""
    agent = build(noisy=True, seeds=seeds, recurrent=recurrent)
    for _ in range(15):
        agent.step()
    act(agent)
    obs = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    first = agent.predict(obs)[0]
    act(agent)
    np.testing.assert_array_equal(agent.predict(obs)[0], first)
    act(agent)
    returns = agent.rollout(5, seed=1)
    act(agent)
    np.testing.assert_array_equal(agent.rollout(5, seed=1), returns)
    quiet = copy.deepcopy(agent.q)
    zero_noise(quiet)
    with torch.no_grad():
        x = torch.from_numpy(obs)[None].expand(seeds, -1, -1)
        q = quiet(x.unsqueeze(2), torch.zeros(seeds, 200, 16), torch.ones(seeds, 200, 1))[0] if recurrent else quiet(x)
    np.testing.assert_array_equal(first, q.reshape(seeds, 200, 2)[0].argmax(-1).numpy())


def test_noise_replaces_random_actions(build):
    agent = build(noisy=True, epsilon=1.0, epsilon_end=1.0)
    assert agent.epsilon == 0
    agent.random_action = None  # a call would fail
    obs = np.random.default_rng(0).normal(size=(1, 4)).astype(np.float32)
    no = np.zeros(1, bool)
    actions = {agent.act(ActorInput(obs, np.ones((1, 1), bool), None, no))[0][0] for _ in range(300)}
    quiet = {int(agent.predict(obs[0])[0]) for _ in range(30)}
    assert actions == {0, 1}
    assert len(quiet) == 1
    for _ in range(15):
        metrics = agent.step()
    assert metrics["epsilon"] == 0


def test_noise_is_not_copied_into_the_target_network(build):
    """T6."""
    agent = build(noisy=True, learning_starts=0)
    for _ in range(10):
        agent.step()
    noise = {name: x.clone() for name, x in agent.target.named_buffers() if "noise" in name}
    assert not equal(weights(agent.q), weights(agent.target))
    agent.update_target(1)
    assert equal(weights(agent.q), weights(agent.target))
    assert len(noise) == 4
    assert all(torch.equal(x, noise[name]) for name, x in agent.target.named_buffers() if name in noise)
    assert not any("noise_" in name for name in agent.state_dict()["q"])


# ---- the support of C51


@pytest.mark.parametrize(
    ("settings", "warns"), [({"v_max": 1.0}, True), ({"v_max": 20.0}, False), ({"v_min": 4.5, "v_max": 9.0}, True)]
)
def test_a_given_support_that_is_too_small_is_one_warning(build, caplog, settings, warns):
    """T14: rewards of 1 for ever are worth 10 at γ = 0.9."""
    agent = build("TestTruncated", atoms=5, gamma=0.9, num_envs=2, seeds=2, **{"v_min": 0.0, **settings})
    for _ in range(20):
        agent.step()
    messages = [record.getMessage() for record in caplog.records if "discounted return" in record.getMessage()]
    assert len(messages) == warns
    if warns:
        assert "a discounted return of 10 is outside of" in messages[0]
        assert f"--v-max {settings['v_max']:g}" in messages[0]
