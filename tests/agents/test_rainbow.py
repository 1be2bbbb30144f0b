"""The six improvements of Rainbow, and Munchausen, one by one and in every combination."""

import copy
import math
from itertools import combinations, product

import numpy as np
import pytest
import torch

from rlgen.agents.actor import ActorInput
from rlgen.agents.noise import zero_noise
from rlgen.agents.replay import Batch
from rlgen.agents.values import Categorical
from rlgen.core.errors import UserError
from tests.agents.tasks import LEGAL
from tests.agents.test_dqn import Table, act, bellman, equal, one_step, targets, transitions, weights

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
    agent.optimizer.param_groups[0]["lr"] = 0.0
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
        agent = build(recurrent=recurrent, lr=1e-2, lr_end=1e-3, lr_steps=80, learning_starts=0, train_freq=20)
        rates = [agent.optimizer.param_groups[0]["lr"] for _ in range(6) if "loss" in agent.step()]
        assert rates == pytest.approx([0.01 - 0.009 * min(step / 80, 1) for step in range(20, 140, 20)])
    agent = build(lr=1e-2, learning_starts=0)
    agent.step()
    assert agent.optimizer.param_groups[0]["lr"] == 1e-2


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
    agent.numpy_q, agent.q = None, Table([[5.0, 9, 9, 6, 9]] * 4)
    obs, start = np.eye(4, dtype=np.float32), np.ones(4, bool)
    assert agent.greedy(ActorInput(obs, LEGAL, None, start))[0].tolist() == [3, 1, 1, 1]
    assert agent.predict(np.arange(4), action_mask=LEGAL)[0].tolist() == [3, 1, 1, 1]
    assert agent.predict(0, action_mask=LEGAL[0])[0] == 3
    assert agent.predict(0)[0] == 1
    many = agent.predict(np.zeros(500, int), action_mask=np.repeat(LEGAL[:1], 500, 0), deterministic=False)[0]
    assert set(many.tolist()) == {0, 3}


# ---- Munchausen


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
                assert torch.equal(out, agent.target(batch.next_obs))  # with the current noise
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


# ---- every combination

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


# ---- Munchausen over n steps


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
